"""A local HTTP server that counts its requests and can be told to misbehave.

Over HTTP, for tests that run it as a process: ``GET /_counts`` (requests per path), ``GET /_violations``
(requests or answers against the contract), ``POST /_faults`` with a list of faults as JSON (see `Fault`).
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

FaultKind = Literal["status", "slow", "drip", "content_type", "truncated", "broken", "warnings", "hang_up"]


@dataclass
class Fault:
    """What goes wrong with requests whose path starts with `path`.

    Attributes:
        path: prefix of the path, percent-encoded as sent.
        kind: ``status``: that status; ``slow``: nothing for `seconds`; ``drip``: the body in pieces over
            `seconds`; ``content_type``: an HTML page; ``truncated``: half of the body, as if it were whole;
            ``broken``: half of the body where all of it is announced; ``warnings``: the answer with the
            warnings in `body`; ``hang_up``: the connection ends without an answer.
        times: requests it concerns; None = all from now on.
        skip: requests that pass before.
        status, retry_after: of ``status``.
        body: of ``status`` and ``warnings``.
        seconds: of ``slow`` and ``drip``.
        query: concerns only requests whose query or JSON body holds these values.
    """

    path: str
    kind: FaultKind = "status"
    times: int | None = 1
    skip: int = 0
    status: int = 500
    retry_after: str | None = None
    body: Any = None
    seconds: float = 1.0
    query: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A request as it came; of a value that its query repeats, `query` holds the last."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes
    query_text: str = ""

    @property
    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass
class Answer:
    """An answer to give."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
        """JSON."""
        return cls(status, json.dumps(content).encode(), headers=headers or {})


class StandIn:
    """A server on a free port of this machine; a context manager.

    Subclasses answer in `answer`.
    """

    def __init__(self, port: int = 0) -> None:
        stand_in = self

        class Handler(_Handler):
            owner = stand_in

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.faults: list[Fault] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        """Serves in this thread until it is interrupted."""
        self._server.serve_forever()

    def answer(self, request: Request) -> Answer:
        """What a sound server answers."""
        raise NotImplementedError

    def with_warnings(self, request: Request, answer: Answer, warnings: Any) -> Answer:
        """`answer` as it is with warnings (None: the usual one)."""
        raise NotImplementedError

    def fail(self, path: str, kind: FaultKind = "status", **how: Any) -> None:
        """From the next request on, `path` misbehaves as `Fault` says."""
        with self._lock:
            self.faults.append(Fault(path, kind, **how))

    def violation(self, what: str) -> None:
        """Notes a break of the contract."""
        with self._lock:
            self.violations.append(what)

    def count(self, prefix: str) -> int:
        """Requests to paths that start with `prefix`."""
        return sum(n for path, n in self.counts.items() if path.startswith(prefix))

    def forget(self) -> None:
        """Counts from nought again."""
        with self._lock:
            self.counts.clear()
            self.requests.clear()

    def take(self, request: Request) -> tuple[Answer, Fault | None]:
        """The answer, and the fault it is to be given with."""
        if request.path.startswith("/_"):
            return self._control(request), None
        with self._lock:
            self.counts[request.path] += 1
            self.requests.append(request)
            fault = next((one for one in self.faults if _concerns(one, request)), None)
            if fault is not None and fault.skip:
                fault.skip -= 1
                fault = None
            elif fault is not None and fault.times is not None:
                fault.times -= 1
        return self.answer(request), fault

    def _control(self, request: Request) -> Answer:
        if request.path == "/_counts":
            return Answer.of(dict(self.counts))
        if request.path == "/_violations":
            return Answer.of(self.violations)
        if request.path == "/_faults" and request.method == "POST":
            for fault in request.json:
                self.fail(**fault)
            return Answer.of(len(self.faults))
        return Answer.of({"error": "no such control"}, 404)


def _concerns(fault: Fault, request: Request) -> bool:
    if fault.times == 0 or not request.path.startswith(fault.path):
        return False
    given = request.query if request.method == "GET" else (request.json or {})
    return all(given.get(name) == value for name, value in fault.query.items())


class _Handler(BaseHTTPRequestHandler):
    owner: StandIn
    protocol_version = "HTTP/1.1"
    #: Head and body are two writes; the second would wait for the client to acknowledge the first.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        request = Request(
            self.command,
            parts.path,
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(size),
            parts.query,
        )
        answer, fault = self.owner.take(request)
        try:
            self._give(request, answer, fault)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _give(self, request: Request, answer: Answer, fault: Fault | None) -> None:
        announced: int | None = None
        if fault is None:
            pass
        elif fault.kind == "status":
            headers = {"Retry-After": fault.retry_after} if fault.retry_after is not None else {}
            answer = Answer.of({} if fault.body is None else fault.body, fault.status, headers)
        elif fault.kind == "slow":
            time.sleep(fault.seconds)
        elif fault.kind == "content_type":
            answer = Answer(200, b"<html><body>Down for maintenance</body></html>", "text/html")
        elif fault.kind in ("truncated", "broken"):
            announced = len(answer.body) if fault.kind == "broken" else None
            answer = Answer(answer.status, answer.body[: len(answer.body) // 2], answer.content_type)
        elif fault.kind == "warnings":
            answer = self.owner.with_warnings(request, answer, fault.body)
        elif fault.kind == "hang_up":
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body) if announced is None else announced))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if fault is not None and fault.kind == "drip":
            self._drip(answer.body, fault.seconds)
        else:
            self.wfile.write(answer.body)
        if announced is not None:
            self.close_connection = True

    def _drip(self, body: bytes, seconds: float) -> None:
        pieces = [body[i : i + max(1, len(body) // 50)] for i in range(0, len(body), max(1, len(body) // 50))]
        for piece in pieces:
            self.wfile.write(piece)
            self.wfile.flush()
            time.sleep(seconds / len(pieces))


def serve(make: Callable[[argparse.Namespace], StandIn], parser: argparse.ArgumentParser) -> None:
    """Runs a stand-in as a program: prints its address, then serves until it is ended."""
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    stand_in = make(parser.parse_args())
    print(stand_in.url, flush=True)
    stand_in.serve_forever()
