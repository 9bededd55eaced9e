"""A stand-in of n8n's resume endpoint: 409 while an execution runs, 200 once it waits, 409 after that.

n8n stores that an execution waits a moment before what it waits with; who calls in between gets a 500.

Statuses and bodies are those of n8n 1.123.81; `tests/n8n` compares them with a real one.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STARTED = {"message": "Workflow was started"}


@dataclass
class Execution:
    """An execution with a Wait node.

    Attributes:
        target: path and query of its resume URL, as handed out.
        busy: requests it refuses because it has not reached its Wait node.
        torn: requests after those that find it stored by half.
        answers: statuses given, in order; a request with another signature is in here too.
        resumed: bodies that resumed it; n8n resumes an execution once.
    """

    target: str
    busy: int
    torn: int = 0
    answers: list[int] = field(default_factory=list)
    resumed: list[Any] = field(default_factory=list)


class ResumeEndpoint:
    """An HTTP server on this machine."""

    def __init__(self) -> None:
        self._executions: dict[str, Execution] = {}
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                self._send(*owner.resume(self.path, body))

            def do_GET(self) -> None:
                self._send(*owner.wrong_method(self.path))

            def log_message(self, *_args: object) -> None:
                """Silent."""

            def _send(self, status: int, content: dict[str, Any]) -> None:
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def execution(
        self, number: int, *, busy: int = 0, torn: int = 0, query: str = ""
    ) -> tuple[str, Execution]:
        """A new execution: its resume URL, and what becomes of it.

        Args:
            query: with its question mark, as newer n8n appends ``?signature=<token>``.
        """
        made = Execution(f"/webhook-waiting/{number}{query}", busy, torn)
        self._executions[str(number)] = made
        return f"http://127.0.0.1:{self.port}{made.target}", made

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()

    def resume(self, target: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """The answer to a POST."""
        number = target.partition("?")[0].rpartition("/")[2]
        with self._lock:
            execution = self._executions.get(number)
            if execution is None:
                return 404, _error(404, f'The execution "{number}" does not exist.')
            status, content = self._state(execution, number, target)
            execution.answers.append(status)
            if status == 200:
                execution.resumed.append(json.loads(body))
            return status, content

    def wrong_method(self, target: str) -> tuple[int, dict[str, Any]]:
        """The answer to a GET: the Wait nodes of these workflows listen for POST."""
        number = target.partition("?")[0].rpartition("/")[2]
        said = "does not contain a waiting webhook with a matching path/method."
        return 404, _error(404, f'The workflow for execution "{number}" {said}')

    def _state(self, execution: Execution, number: str, target: str) -> tuple[int, dict[str, Any]]:
        if target != execution.target:
            return 401, {"error": "Invalid token"}
        if len(execution.answers) < execution.busy:
            return 409, _error(409, f'The execution "{number}" is running already.')
        if len(execution.answers) < execution.busy + execution.torn:
            return 500, _error(0, "Cannot read properties of undefined (reading 'pop')")
        if execution.resumed:
            return 409, _error(409, f'The execution "{number} has finished already.')
        return 200, dict(STARTED)


def _error(code: int, message: str) -> dict[str, Any]:
    return {"code": code, "message": message}
