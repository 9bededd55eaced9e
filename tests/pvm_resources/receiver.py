"""A receiver of webhooks on this machine: answers as told, remembers what it got."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request as it came; `began` and `ended` are seconds of the monotonic clock."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    began: float
    status: int

    @property
    def event_id(self) -> str:
        """The same over all attempts."""
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass
class Reply:
    """What is answered, after `wait` seconds."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    wait: float = 0.0


class Receiver:
    """An HTTP server. `script` is asked for the answer to each request, with what came before it."""

    def __init__(self, script: Callable[[Received, int], Reply] = lambda _request, _count: Reply()) -> None:
        self.got: list[Received] = []
        #: Requests of one job that overlapped in time, which order forbids.
        self.overlaps = 0
        self._open: set[str] = set()
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                owner._serve(self, script)

            def log_message(self, *_args: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def url(self, path: str = "/hook") -> str:
        """An address of it."""
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, count: int, timeout_s: float = 20.0) -> list[Received]:
        """The first requests, once there are `count`."""
        deadline = time.monotonic() + timeout_s
        while len(self.got) < count:
            assert time.monotonic() < deadline, f"{len(self.got)} of {count} came"
            time.sleep(0.01)
        return self.got[:count]

    def _serve(self, handler: BaseHTTPRequestHandler, script: Callable[[Received, int], Reply]) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Received(handler.path, headers, body, time.monotonic(), 0)
        job = str(request.json["data"].get("job_id", "")) + handler.path
        with self._lock:
            self.overlaps += job in self._open
            self._open.add(job)
            reply = script(request, len(self.got))
            self.got.append(Received(request.path, headers, body, request.began, reply.status))
        time.sleep(reply.wait)
        with self._lock:
            self._open.discard(job)
        try:
            handler.send_response(reply.status)
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(reply.body)))
            handler.end_headers()
            handler.wfile.write(reply.body)
        except OSError:
            handler.close_connection = True
