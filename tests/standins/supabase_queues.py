"""Supabase Queues as its documentation describes them: four functions of pgmq over PostgREST, in memory.

Functions, arguments and columns: Supabase's documentation, "Queues", API reference; pgmq 1.4.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from tests.standins.serving import Answer, Request, StandIn


class SupabaseQueues(StandIn):
    """A project with every queue that is named; refuses calls without its key or of another schema."""

    def __init__(self, key: str = "secret") -> None:
        super().__init__()
        self.key = key
        self._queues: dict[str, list[dict[str, Any]]] = {}
        self._number = 0

    def answer(self, request: Request) -> Answer:
        """See `StandIn`."""
        status, content = self._answer(request.path, request.headers, request.body)
        return Answer.of(content, status)

    def _answer(self, path: str, given: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        if given.get("apikey") != self.key or given.get("authorization") != f"Bearer {self.key}":
            return 401, {"message": "Invalid API key", "code": "401", "hint": None, "details": None}
        if given.get("content-profile") != "pgmq_public":
            return 406, {"message": "The schema must be one of: …", "code": "PGRST106"}
        name = path.removeprefix("/rest/v1/rpc/")
        function = {"send": self._send, "read": self._read, "delete": self._delete}.get(name)
        if function is None:
            return 404, {"message": f"Could not find the function {name}", "code": "PGRST202"}
        try:
            with self._lock:
                return 200, function(**json.loads(body))
        except TypeError as error:
            return 404, {"message": str(error), "code": "PGRST202", "hint": None, "details": None}

    def _send(self, *, queue_name: str, message: Any, sleep_seconds: int) -> list[int]:
        self._number += 1
        row = {
            "msg_id": self._number, "read_ct": 0, "enqueued_at": "2026-01-01T00:00:00+00:00",
            "vt": time.monotonic() + sleep_seconds, "message": message,
        }  # fmt: skip
        self._queues.setdefault(queue_name, []).append(row)
        return [self._number]

    def _read(self, *, queue_name: str, sleep_seconds: int, n: int) -> list[dict[str, Any]]:
        now = time.monotonic()
        found = [row for row in self._queues.get(queue_name, []) if row["vt"] <= now][:n]
        for row in found:
            row["read_ct"] += 1
            row["vt"] = now + sleep_seconds
        return [{**row, "vt": "2026-01-01T00:00:00+00:00"} for row in found]

    def _delete(self, *, queue_name: str, message_id: int) -> bool:
        rows = self._queues.get(queue_name, [])
        left = [row for row in rows if row["msg_id"] != message_id]
        self._queues[queue_name] = left
        return len(left) < len(rows)
