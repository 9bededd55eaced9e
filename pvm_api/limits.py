"""Limits: requests a minute of one caller, bytes of a body, headers that every answer carries."""

from __future__ import annotations

import math
import secrets
import time
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pvm_api import json_body
from pvm_api.problems import SECURITY, ApiError, BodyError, refuse

#: Counters kept at once, two a caller; with more of them all are dropped, which only ever admits more.
_COUNTERS_MAX: Final = 20_000
_ID_MAX: Final = 64
_NO_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FORMS: Final = ("multipart/form-data", "application/x-www-form-urlencoded")
#: Bytes that are read and dropped after a refusal, so that a caller who is still sending gets to read it.
_DRAINED_MAX: Final = 64_000_000


@dataclass(frozen=True)
class Rate:
    """What a caller has left: `remaining` of `limit` requests, more of them in `reset_s` seconds."""

    limit: int
    remaining: int
    reset_s: int

    @property
    def headers(self) -> dict[str, str]:
        """As headers of an answer."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_s),
        }


class RateLimiter:
    """A sliding window of a minute per caller, kept in the memory of this process.

    Args:
        limit: requests a minute.
    """

    def __init__(self, limit: int) -> None:
        self._item = RateLimitItemPerMinute(limit)
        self._storage = MemoryStorage()
        self._window = SlidingWindowCounterRateLimiter(self._storage)

    def take(self, caller: str) -> Rate:
        """Counts one request of `caller`.

        Raises:
            ApiError: 429 ``rate.limited``, with Retry-After.
        """
        if len(self._storage.storage) >= _COUNTERS_MAX:
            self._storage.reset()
        return self._rate(caller, self._window.hit(self._item, caller))

    def _rate(self, caller: str, admitted: bool) -> Rate:
        stats = self._window.get_window_stats(self._item, caller)
        rate = Rate(self._item.amount, stats.remaining, max(0, math.ceil(stats.reset_time - time.time())))
        if admitted:
            return rate
        wait = str(max(1, rate.reset_s))
        headers = {"Retry-After": wait, **rate.headers}
        reason = f"more than {rate.limit} requests a minute"
        raise ApiError("rate.limited", reason, f"Wait {wait} s", headers)


@dataclass(frozen=True)
class BodyLimits:
    """Which paths take bodies that are no JSON, and how large.

    Attributes:
        files: paths whose body is a file, whatever its type says.
        forms: paths that take a form with a file.
        file_max, form_max: bytes.
    """

    files: frozenset[str]
    forms: frozenset[str]
    file_max: int
    form_max: int

    def of(self, path: str, kind: str) -> int | None:
        """Most bytes of a body of this type; None for a body that is to be JSON."""
        if path in self.files:
            return self.file_max
        if kind == "multipart/form-data" and path in self.forms:
            return self.form_max
        return json_body.BYTES_MAX if kind in _FORMS else None


class RequestMiddleware:
    """Around every request: its id, the limits of its body, the headers of its answer. Pure ASGI.

    A JSON body is read here and judged before anybody parses it; others are counted while they are read.
    """

    def __init__(self, app: ASGIApp, bodies: BodyLimits) -> None:
        self._app = app
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope.setdefault("state", {})["request_id"] = _id_of(headers.get("x-request-id"))

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                _set_headers(MutableHeaders(scope=message), scope)
            await send(message)

        if scope["type"] == "websocket":
            await self._app(scope, receive, send_with_headers)
            return
        body = _Body(receive, headers)
        limit = self._bodies.of(
            scope["path"], headers.get("content-type", "").partition(";")[0].strip().lower()
        )
        try:
            given = await body.judged() if limit is None and scope["method"] not in _NO_BODY else None
        except BodyError as error:
            await refuse(Request(scope), error.refusal)(scope, receive, send_with_headers)
            return
        follow = body.counted(limit or json_body.BYTES_MAX) if given is None else body.again(given)
        await self._app(scope, follow, send_with_headers)


class _Body:
    """The body of one request, as it comes.

    Args:
        receive: where it comes from.
        headers: of the request.
    """

    def __init__(self, receive: Receive, headers: Headers) -> None:
        self._receive = receive
        stated = headers.get("content-length", "")
        self._stated = int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 20 else 0
        self._waits = headers.get("expect", "").lower() == "100-continue"
        self._seen = 0
        self._ended = False

    async def judged(self) -> bytes | None:
        """The whole body, which may be parsed; None where the caller is gone.

        Raises:
            BodyError: 413 ``request.large``; 422 ``request.shape``: nested too deeply, or of too many values.
        """
        parts = bytearray()
        while not self._ended:
            message = await self._next(json_body.BYTES_MAX)
            if message["type"] == "http.disconnect":
                return None
            parts += message.get("body", b"")
        data = bytes(parts)
        if (fault := json_body.fault_of(data)) is not None:
            raise BodyError(ApiError("request.shape", f"the body is refused: {fault}", "Send less at once"))
        return data

    def again(self, data: bytes) -> Receive:
        """`receive` of a body that has been read."""
        given = False

        async def receive() -> Message:
            nonlocal given
            if given:
                return await self._receive()
            given = True
            return {"type": "http.request", "body": data, "more_body": False}

        return receive

    def counted(self, limit: int) -> Receive:
        """`receive` that raises `BodyError` past `limit` bytes."""

        async def receive() -> Message:
            return await self._next(limit)

        return receive

    async def _next(self, limit: int) -> Message:
        if self._stated > limit:
            raise await self._too_large(limit)
        message = await self._receive()
        # A stated length may be missing or wrong: what arrives is counted.
        self._seen += len(message.get("body", b""))
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        if self._seen > limit:
            raise await self._too_large(limit)
        return message

    async def _too_large(self, limit: int) -> BodyError:
        drained = 0
        while not (self._ended or self._waits or drained > _DRAINED_MAX):
            message = await self._receive()
            drained += len(message.get("body", b""))
            self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        reason = f"the body is larger than {limit:,} bytes"
        remedy = "Send less at once, a catalogue as an upload" if limit == json_body.BYTES_MAX else "Split it"
        return BodyError(ApiError("request.large", reason, remedy, {"Connection": "close"}))


def _id_of(given: str | None) -> str:
    if given and len(given) <= _ID_MAX and given.isascii() and given.replace("-", "").isalnum():
        return given
    return secrets.token_hex(8)


def _set_headers(headers: MutableHeaders, scope: Scope) -> None:
    state = scope["state"]
    headers["X-Request-ID"] = state["request_id"]
    for name, value in SECURITY.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")
    rate: Rate | None = state.get("rate")
    headers.update(rate.headers if rate is not None else {})
