"""A stand-in of our REST API for n8n: says what a test wants to be said, remembers what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

KEY = "a-key"
_PROBLEM = "application/problem+json"


@dataclass
class Story:
    """How the next job goes.

    Attributes:
        pages: ids of the matches, page by page.
        broken_page: number of the page that fails each time it is asked for; None: none.
        ends: the job's last status; `fault` is its error.
        polls: questions answered with ``running`` before that.
        refusal: status and problem with which the job is refused; None: it is accepted.
        drops: connections closed without an answer before the job is accepted.
        early: the callback is tried before the job is even accepted, as a very fast job might.
    """

    pages: Sequence[Sequence[str]] = (("m1",),)
    broken_page: int | None = None
    ends: str = "completed"
    fault: dict[str, Any] | None = None
    polls: int = 0
    refusal: tuple[int, dict[str, Any]] | None = None
    drops: int = 0
    early: bool = False


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


@dataclass
class StandInApi:
    """The HTTP server; `callbacks` are the statuses n8n answered callbacks with."""

    story: Story = field(default_factory=Story)
    asked: list[Asked] = field(default_factory=list)
    callbacks: list[tuple[int, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"null")
                owner._submit(self, owner._remember(self, body))

            def do_GET(self) -> None:
                owner._read(self, owner._remember(self, None))

            def log_message(self, *_args: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def tell(self, story: Story) -> None:
        """The next job goes that way; what was asked before is forgotten."""
        self.story = story
        self.asked.clear()
        self.callbacks.clear()

    def of(self, method: str, path: str) -> list[Asked]:
        """Requests of one method to addresses that begin so."""
        return [one for one in self.asked if one.method == method and one.path.startswith(path)]

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()

    def _remember(self, handler: BaseHTTPRequestHandler, body: Any) -> Asked:
        parts = urlsplit(handler.path)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.asked.append(Asked(handler.command, parts.path, parse_qs(parts.query), headers, body))
        return self.asked[-1]

    def _submit(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        story = self.story
        if len(self.of("POST", "/v1/jobs")) <= story.drops:
            handler.close_connection = True
            return
        if asked.headers.get("x-api-key") != KEY:
            _send(handler, 401, {"status": 401, "detail": "the API key is not known"}, _PROBLEM)
            return
        if story.refusal is not None:
            _send(handler, story.refusal[0], story.refusal[1], _PROBLEM)
            return
        url = asked.body.get("callback_url")
        if url and story.early:
            self._call(url)
        _send(
            handler, 202, {"job_id": "job-1", "status": "queued", "status_url": f"{self.url}/v1/jobs/job-1"}
        )
        if url:
            threading.Thread(target=self._call_until_heard, args=(url,), daemon=True).start()

    def _read(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        story = self.story
        if asked.path == "/v1/jobs/job-1":
            ended = len(self.of("GET", "/v1/jobs/")) > story.polls
            status = story.ends if ended else "running"
            _send(
                handler, 200, {"job_id": "job-1", "status": status, "error": story.fault if ended else None}
            )
            return
        page = int(asked.query.get("cursor", ["0"])[0])
        if page == story.broken_page:
            _send(handler, 500, {"status": 500, "detail": "page is broken"}, _PROBLEM)
            return
        items = [{"match_id": one, "evidence_url": f"{self.url}/{one}"} for one in story.pages[page]]
        more = page + 1 < len(story.pages)
        _send(
            handler, 200, {"items": items, "next": f"{self.url}{_next(handler.path, page)}" if more else None}
        )

    def _call(self, url: str) -> int:
        answer = httpx.post(url, json={"type": "job.completed", "data": {}}, timeout=30, trust_env=False)
        self.callbacks.append((answer.status_code, answer.json()))
        return answer.status_code

    def _call_until_heard(self, url: str) -> None:
        # As the platform does: anything but success is tried again.
        while self._call(url) != 200:
            time.sleep(0.2)


def _next(path: str, page: int) -> str:
    return f"{path.partition('&cursor=')[0]}&cursor={page + 1}"


def _send(handler: BaseHTTPRequestHandler, status: int, content: Any, kind: str = "application/json") -> None:
    data = json.dumps(content).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
