"""Authentication and scopes: API keys in a header; other ways can be added by `Authenticator`."""

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

#: Seconds for which a key's row is trusted; a revoked key ends after them.
_TRUSTED_S: Final = 5.0
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
    """The caller of a request.

    Attributes:
        name: for people, e.g. the key's name.
        caller: stable, e.g. ``key:<id>``; idempotency keys and limits are kept under it.
        scopes: what it may do, implied scopes included.
    """

    name: str
    caller: str
    scopes: frozenset[Scope]


#: The machine's own user, where keys are off.
LOCAL: Final = Principal("local", "local", frozenset(SCOPES))


def address_of(request: Request) -> str:
    """The caller's address, as limits are kept under it."""
    return f"address:{request.client.host if request.client else 'unknown'}"


class Authenticator(Protocol):
    """Another way to know a caller, e.g. by a session's cookie."""

    def __call__(self, request: Request) -> Principal | None:
        """The caller; None where this way does not know them."""
        ...


class KeyCache:
    """Keys as they were found at most five seconds ago.

    Args:
        find: reads a key by its token or id; None where there is no such key, or it is revoked.
    """

    def __init__(self, find: Callable[[str], ApiKey | None]) -> None:
        self._find = find
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, ApiKey]] = {}

    def get(self, name: str) -> ApiKey | None:
        """The key; None where there is none."""
        now = time.monotonic()
        with self._lock:
            at, key = self._found.get(name, (-_TRUSTED_S, None))
        if now - at < _TRUSTED_S:
            return key
        fresh = self._find(name)
        with self._lock:
            self._found.pop(name, None)
            if len(self._found) >= _CACHED_MAX:
                self._found.clear()
            if fresh is not None:
                self._found[name] = (now, fresh)
        return fresh


class Gate:
    """Authenticates requests and limits their rate.

    Args:
        keys: None admits everybody as the machine's own user.
        limit: requests a minute of one caller.
        others: tried in order where the request carries no key.
    """

    def __init__(self, keys: Keys | None, limit: int, others: Sequence[Authenticator] = ()) -> None:
        self._keys = KeyCache(keys.find) if keys is not None else None
        self._others = tuple(others)
        self._requests = RateLimiter(limit)
        self._wrong = RateLimiter(_WRONG)

    def admit(self, request: Request, token: str | None) -> Principal:
        """The caller, counted against their limit.

        Raises:
            ApiError: 401 ``auth.missing``, ``auth.invalid``; 429 ``rate.limited``.
        """
        address = address_of(request)
        principal = self._known(request, token, address)
        request.state.rate = self._requests.take(principal.caller if self._keys is not None else address)
        return principal

    def _known(self, request: Request, token: str | None, address: str) -> Principal:
        if self._keys is None:
            return LOCAL
        if token is None:
            for other in self._others:
                if (found := other(request)) is not None:
                    return found
            self._requests.take(address)
            raise _unauthorised("auth.missing", "no API key was sent")
        self._wrong.check(address)
        key = self._keys.get(token)
        if key is None:
            self._wrong.take(address)
            raise _unauthorised("auth.invalid", "the API key is not known, or revoked")
        return Principal(key.name, f"key:{key.key_id}", key.allows)


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
    """Refuses other host names while keys are off: a page of another site, whose name its owner points at
    this machine (DNS rebinding), could act as the user.

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
