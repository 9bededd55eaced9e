"""Who calls, and what they may do: API keys by header; other ways can be added by `Authenticator`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Protocol

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from pvm_api.limits import RateLimiter
from pvm_api.problems import ApiError
from pvm_resources.settings import LOOPBACK
from pvm_resources.store.api_keys import SCOPES, ApiKey, Keys, Scope

#: Seconds for which a key's row is believed; a revoked key ends after them.
_BELIEVED_S: Final = 5.0
_CACHED_MAX: Final = 1_000
#: Wrong keys a minute of one address.
_WRONG: Final = 60

_bearer: Final = HTTPBearer(
    auto_error=False, scheme_name="bearer", description="A key of `pvm keys create`: Authorization: Bearer"
)
_header: Final = APIKeyHeader(
    name="X-API-Key", auto_error=False, scheme_name="apiKey", description="The same key as a header"
)


@dataclass(frozen=True)
class Principal:
    """Whoever calls.

    Attributes:
        name: for people, e.g. the key's name.
        caller: stable, e.g. ``key:<id>``; promises and limits are kept under it.
        scopes: what it may do, implied scopes included.
    """

    name: str
    caller: str
    scopes: frozenset[Scope]

    @property
    def may(self) -> Callable[[Scope], bool]:
        """Whether it has a scope."""
        return self.scopes.__contains__


class Authenticator(Protocol):
    """Another way to know a caller, e.g. by a session's cookie."""

    def __call__(self, request: Request) -> Principal | None:
        """The caller; None where this way does not know them."""
        ...


class Gate:
    """Decides who a request is from.

    Args:
        keys: None lets everybody in as the machine's own user.
        limit: requests a minute of one caller.
        others: asked in order where the request carries no key.
    """

    def __init__(self, keys: Keys | None, limit: int, others: Sequence[Authenticator] = ()) -> None:
        self._keys = keys
        self._others = tuple(others)
        self._requests = RateLimiter(limit)
        self._wrong = RateLimiter(_WRONG)
        self._lock = threading.Lock()
        self._cache: dict[str, tuple[float, ApiKey]] = {}

    def admit(self, request: Request, token: str | None) -> Principal:
        """The caller, counted against their limit.

        Raises:
            ApiError: 401 ``auth.missing``, ``auth.invalid``; 429 ``rate.limited``.
        """
        address = request.client.host if request.client else "unknown"
        principal = self._known(request, token, f"address:{address}")
        request.state.rate = self._requests.take(
            principal.caller if self._keys is not None else f"address:{address}"
        )
        return principal

    def _known(self, request: Request, token: str | None, address: str) -> Principal:
        if self._keys is None:
            return Principal("local", "local", frozenset(SCOPES))
        if token is None:
            for other in self._others:
                if (found := other(request)) is not None:
                    return found
            self._requests.take(address)
            raise _unauthorised("auth.missing", "no API key was sent")
        self._wrong.check(address)
        key = self._key(self._keys, token)
        if key is None:
            self._wrong.take(address)
            raise _unauthorised("auth.invalid", "the API key is not known, or revoked")
        return Principal(key.name, f"key:{key.key_id}", key.allows)

    def _key(self, keys: Keys, token: str) -> ApiKey | None:
        now = time.monotonic()
        with self._lock:
            at, found = self._cache.get(token, (0.0, None))
        if found is not None and now - at < _BELIEVED_S:
            return found
        fresh = keys.find(token)
        with self._lock:
            if fresh is None or len(self._cache) >= _CACHED_MAX:
                self._cache.pop(token, None) if fresh is None else self._cache.clear()
            if fresh is not None:
                self._cache[token] = (now, fresh)
        return fresh


def require(scope: Scope) -> Callable[..., Principal]:
    """A dependency: the caller, who has `scope`. ``Annotated[Principal, Depends(require("read"))]``."""

    def caller(
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
        header: Annotated[str | None, Security(_header)],
    ) -> Principal:
        gate: Gate = request.app.state.services.gate
        principal = gate.admit(request, bearer.credentials if bearer is not None else header)
        if scope not in principal.scopes:
            raise ApiError(
                "auth.scope", f"the key has no scope {scope}", f"Use a key made with --scope {scope}"
            )
        return principal

    caller.__name__ = f"require_{scope}"
    return caller


def check_host(request: Request) -> None:
    """Without keys a page of another site, whose name its owner has pointed at this machine (DNS rebinding),
    would speak for the user.

    Raises:
        ApiError: 403 ``auth.host``.
    """
    if (request.url.hostname or "") not in LOOPBACK:
        raise ApiError(
            "auth.host",
            "keys are off, and the request names another host than this machine",
            "Ask http://127.0.0.1, or turn keys on (PVM_API_AUTH=true)",
        )


def _unauthorised(code: str, reason: str) -> ApiError:
    return ApiError(
        code,
        reason,
        "Send a key of `pvm keys create` as Authorization: Bearer or X-API-Key",
        {"WWW-Authenticate": 'Bearer realm="pvm"'},
    )
