"""Limits: requests a minute of one caller, bytes of a body, headers that every answer carries."""

from __future__ import annotations

import math
import secrets
import time
from dataclasses import dataclass
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pvm_api.problems import SECURITY, ApiError

#: Bytes of a JSON body.
BODY_MAX: Final = 1_000_000
#: Counters kept at once, two a caller; with more of them all are dropped, which only ever admits more.
_COUNTERS_MAX: Final = 20_000
_ID_MAX: Final = 64


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

    def check(self, caller: str) -> None:
        """Like `take`, counting nothing."""
        self._rate(caller, self._window.test(self._item, caller))

    def _rate(self, caller: str, admitted: bool) -> Rate:
        stats = self._window.get_window_stats(self._item, caller)
        rate = Rate(self._item.amount, stats.remaining, max(0, math.ceil(stats.reset_time - time.time())))
        if admitted:
            return rate
        wait = str(max(1, rate.reset_s))
        headers = {"Retry-After": wait, **rate.headers}
        reason = f"more than {rate.limit} requests a minute"
        raise ApiError("rate.limited", reason, f"Wait {wait} s", headers)


class RequestMiddleware:
    """Around every request: its id, the limit of its body, the headers of its answer. Pure ASGI.

    Args:
        upload_max: bytes of a body on the paths that take uploads.
        uploads: those paths.
    """

    def __init__(self, app: ASGIApp, upload_max: int, uploads: frozenset[str]) -> None:
        self._app = app
        self._upload_max = upload_max
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["request_id"] = _id_of(headers.get("x-request-id"))
        limit = self._upload_max if scope["path"] in self._uploads else BODY_MAX

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _set_headers(MutableHeaders(scope=message), scope)
            await send(message)

        await self._app(scope, _counted(receive, headers.get("content-length"), limit), send_with_headers)


def _counted(receive: Receive, stated: str | None, limit: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        if stated is not None and stated.isdigit() and int(stated) > limit:
            raise _too_large(limit)
        message = await receive()
        if message["type"] == "http.request":
            # A stated length may be missing or wrong: what arrives is counted.
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _too_large(limit)
        return message

    return counted


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {limit:,} bytes", {"Connection": "close"})


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
