"""An index of Pinecone's REST API 2025-10 in memory: upsert, query, fetch, delete, statistics.

Paths, bodies and filters: Pinecone's API reference, "Database data plane".
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import numpy as np

from tests.standins.serving import Answer, Request, StandIn


class PineconeIndex(StandIn):
    """One index with metric ``cosine``; refuses calls without its key."""

    def __init__(self, dimension: int, key: str = "secret") -> None:
        super().__init__()
        self.key = key
        self.dimension = dimension
        self._spaces: dict[str, dict[str, dict[str, Any]]] = {}

    def answer(self, request: Request) -> Answer:
        """See `StandIn`."""
        if request.headers.get("api-key") != self.key:
            return Answer.of({"code": 16, "message": "Invalid API Key", "details": []}, 401)
        with self._lock:
            status, content = self._answer(request.path, request.json or {}, parse_qs(request.query_text))
        return Answer.of(content, status)

    def _answer(self, path: str, body: dict[str, Any], query: dict[str, list[str]]) -> tuple[int, Any]:
        space = self._spaces.setdefault(body.get("namespace") or (query.get("namespace") or [""])[0], {})
        if path == "/vectors/upsert":
            for one in body["vectors"]:
                if len(one["values"]) != self.dimension:
                    return 400, {"code": 3, "message": "Vector dimension does not match", "details": []}
                space[one["id"]] = one
            return 200, {"upsertedCount": len(body["vectors"])}
        if path == "/vectors/fetch":
            found = {one: space[one] for one in query.get("ids", []) if one in space}
            return 200, {"vectors": found, "namespace": "", "usage": {"readUnits": 1}}
        if path == "/vectors/delete":
            for one in body.get("ids", []):
                space.pop(one, None)
            return 200, {}
        if path == "/describe_index_stats":
            spaces = {name: {"vectorCount": len(one)} for name, one in self._spaces.items() if one}
            total = sum(map(len, self._spaces.values()))
            return 200, {
                "namespaces": spaces, "dimension": self.dimension, "indexFullness": 0,
                "totalVectorCount": total, "metric": "cosine", "vectorType": "dense",
            }  # fmt: skip
        if path == "/query":
            return 200, {"matches": self._query(space, body), "namespace": "", "usage": {"readUnits": 1}}
        return 404, {"code": 5, "message": f"no {path}", "details": []}

    def _query(self, space: dict[str, dict[str, Any]], body: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = np.array(body["vector"])
        found = [
            {"id": name, "metadata": one["metadata"], "score": float(
                np.dot(wanted, one["values"]) / np.linalg.norm(wanted) / np.linalg.norm(one["values"])
            )}
            for name, one in space.items() if _meets(one["metadata"], body.get("filter") or {})
        ]  # fmt: skip
        return sorted(found, key=lambda one: -one["score"])[: body["topK"]]


def _meets(metadata: dict[str, Any], wanted: dict[str, Any]) -> bool:
    for name, condition in wanted.items():
        if name == "$and":
            if not all(_meets(metadata, one) for one in condition):
                return False
            continue
        value = metadata.get(name)
        values = value if isinstance(value, list) else [value]
        if not all(_holds(operator, values, given) for operator, given in condition.items()):
            return False
    return True


def _holds(operator: str, values: list[Any], given: Any) -> bool:
    if operator == "$in":
        return any(one in given for one in values)
    known = [one for one in values if one is not None]
    return any(one >= given if operator == "$gte" else one <= given for one in known)
