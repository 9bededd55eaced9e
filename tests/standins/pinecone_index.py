"""An index of Pinecone's REST API 2025-10 in memory: upsert, query, fetch, delete, statistics.

Paths, bodies and filters: Pinecone's API reference, "Database data plane".
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import numpy as np


class PineconeIndex:
    """One index with metric ``cosine``; refuses calls without its key."""

    def __init__(self, dimension: int, key: str = "secret") -> None:
        self.key = key
        self.dimension = dimension
        self._spaces: dict[str, dict[str, dict[str, Any]]] = {}
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
                self._reply(body)

            def do_GET(self) -> None:
                self._reply({})

            def _reply(self, body: dict[str, Any]) -> None:
                given = urlsplit(self.path)
                query = parse_qs(given.query)
                if self.headers.get("Api-Key") != owner.key:
                    status, answer = 401, {"code": 16, "message": "Invalid API Key", "details": []}
                else:
                    with owner._lock:
                        status, answer = owner._answer(given.path, body, query)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def host(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

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
