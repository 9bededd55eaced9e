"""Limits: requests a minute of one caller, bytes of a body, headers that every answer carries."""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pvm_api.problems import SECURITY, ApiError

#: A JSON body larger than this is no request.
BODY_MAX: Final = 1_000_000
_WINDOW_S: Final = 60.0
#: Callers remembered at once; the longest silent is forgotten, which only ever lets more through.
_CALLERS_MAX: Final = 10_000
_ID_MAX: Final = 64


@dataclass(frozen=True)
class Rate:
    """What a caller has left: `remaining` of `limit` requests, all again in `reset_s` seconds."""

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
    """A token bucket per caller: `limit` at once, refilled evenly over a minute. Of one process.

    Args:
        limit: requests a minute.
        clock: seconds, monotonic.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._callers: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> Rate:
        """Counts one request of `caller`.

        Raises:
            ApiError: 429 ``rate.limited``, with Retry-After.
        """
        rate, wait = self._count(caller, 1.0)
        if wait is not None:
            raise ApiError(
                "rate.limited",
                f"more than {self._limit} requests a minute",
                f"Wait {wait} s",
                {"Retry-After": str(wait), **rate.headers},
            )
        return rate

    def check(self, caller: str) -> None:
        """Like `take`, counting nothing."""
        _, wait = self._count(caller, 0.0)
        if wait is not None:
            raise ApiError("rate.limited", "too many requests", f"Wait {wait} s", {"Retry-After": str(wait)})

    def _count(self, caller: str, cost: float) -> tuple[Rate, int | None]:
        now, speed = self._clock(), self._limit / _WINDOW_S
        with self._lock:
            tokens, since = self._callers.pop(caller, (float(self._limit), now))
            tokens = min(self._limit, tokens + (now - since) * speed)
            enough = tokens >= 1.0
            left = tokens - cost if enough else tokens
            self._callers[caller] = (left, now)
            if len(self._callers) > _CALLERS_MAX:
                self._callers.popitem(last=False)
        rate = Rate(self._limit, int(left), math.ceil((self._limit - left) / speed))
        return rate, None if enough else max(1, math.ceil((1.0 - tokens) / speed))


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

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                _seal(MutableHeaders(scope=message), scope)
            await send(message)

        await self._app(scope, _counted(receive, headers.get("content-length"), limit), sealed)


def _counted(receive: Receive, stated: str | None, limit: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        if stated is not None and stated.isdigit() and int(stated) > limit:
            raise _too_large(limit)
        message = await receive()
        if message["type"] == "http.request":
            # A stated length may be missing or a lie: what arrives is counted.
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


def _seal(headers: MutableHeaders, scope: Scope) -> None:
    state = scope["state"]
    headers["X-Request-ID"] = state["request_id"]
    for name, value in SECURITY.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")
    rate: Rate | None = state.get("rate")
    if rate is not None:
        for name, value in rate.headers.items():
            headers[name] = value
