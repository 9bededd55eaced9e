"""Authentication and scopes: API keys in a header; other ways can be added by `Authenticator`."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final, Protocol

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from pvm_api.limits import RateLimiter
from pvm_api.origin import host_of, is_foreign, is_foreign_socket
from pvm_api.problems import ApiError, refuse
from pvm_resources.settings import LOOPBACK
from pvm_resources.store.api_keys import SCOPES, ApiKey, Keys, Scope

#: Seconds for which a key's row is trusted; a revoked key ends after them.
_TRUSTED_S: Final = 5.0
_CACHED_MAX: Final = 1_000
#: Wrong keys a minute of one address.
_WRONG: Final = 60
#: Bits of an IPv6 address that name one caller's network (RFC 6177).
_SITE: Final = 64

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


def address_of(request: HTTPConnection) -> str:
    """The caller's address, as limits are kept under it; of IPv6 its network."""
    host = request.client.host if request.client else "unknown"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"address:{host[:100]}"
    if address.version == 6 and address.ipv4_mapped is None:
        return f"address:{ipaddress.ip_network((address.packed, _SITE), strict=False)}"
    return f"address:{address}"


class Authenticator(Protocol):
    """Another way to know a caller, e.g. by a session's cookie."""

    def __call__(self, request: HTTPConnection) -> Principal | None:
        """The caller; None where this way does not know them."""
        ...


class KeyCache:
    """Keys as they were found at most five seconds ago.

    Args:
        find: reads a key by its token or a session's; None where there is none, or where it is revoked.
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

    def forget(self, name: str) -> None:
        """The next `get` reads it again."""
        with self._lock:
            self._found.pop(name, None)


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

    def admit(self, request: HTTPConnection, token: str | None) -> Principal:
        """The caller, counted against their limit.

        Raises:
            ApiError: 401 ``auth.missing``, ``auth.invalid``; 429 ``rate.limited``.
        """
        address = address_of(request)
        principal = self._known(request, token, address)
        request.state.rate = self._requests.take(principal.caller if self._keys is not None else address)
        return principal

    def still(self, request: HTTPConnection, token: str | None, scope: Scope) -> bool:
        """Whether a caller who was admitted still may: their key or session may have ended. Not counted."""
        try:
            return scope in self._known(request, token, address_of(request)).scopes
        except ApiError:
            return False

    def _known(self, request: HTTPConnection, token: str | None, address: str) -> Principal:
        if self._keys is None:
            return LOCAL
        if token is None:
            for other in self._others:
                if (found := other(request)) is not None:
                    return found
            self._requests.take(address)
            raise _unauthorised("auth.missing", "no API key was sent")
        key = self._keys.get(token)
        if key is None:
            # Failures alone are slowed down: whoever shares an address, or forges one, locks nobody out.
            self._wrong.take(address)
            raise _unauthorised("auth.invalid", "the API key is not known, or revoked")
        return Principal(key.name, f"key:{key.key_id}", key.allows)


def token_of(request: HTTPConnection) -> str | None:
    """The API key of a connection, as `require` finds it; None where it brought none."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return given if scheme.lower() == "bearer" and given else request.headers.get("x-api-key")


def check_scope(principal: Principal, scope: Scope) -> Principal:
    """The caller, who has `scope`.

    Raises:
        ApiError: 403 ``auth.scope``.
    """
    if scope not in principal.scopes:
        raise ApiError("auth.scope", f"the key has no scope {scope}", f"Use a key made with --scope {scope}")
    return principal


def require(scope: Scope) -> Callable[..., Principal]:
    """A dependency: the caller, who has `scope`. ``Annotated[Principal, Depends(require("read"))]``."""

    def caller(
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
        header: Annotated[str | None, Security(_header)],
    ) -> Principal:
        gate: Gate = request.app.state.services.gate
        return check_scope(gate.admit(request, bearer.credentials if bearer is not None else header), scope)

    caller.__name__ = f"require_{scope}"
    return caller


class LocalOnly:
    """Around every request while keys are off: programs and pages of this machine alone are answered.

    Another host name is refused, because a page whose owner points its name at this machine (DNS rebinding)
    could act as the user; so is a change that a page of another site causes.

    Args:
        origins: further origins whose pages may.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str] = ()) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """One request."""
        error = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if error is None:
            await self._app(scope, receive, send)
        else:
            await refuse(HTTPConnection(scope), error)(scope, receive, send)

    def _refusal(self, scope: AsgiScope) -> ApiError | None:
        headers = Headers(scope=scope)
        if host_of(headers.get("host", "")) not in LOOPBACK:
            return ApiError(
                "auth.host",
                "keys are off, and the request names another host than this machine",
                "Ask http://127.0.0.1, or turn keys on (PVM_API_AUTH=true)",
            )
        foreign = partial(is_foreign, scope["method"]) if "method" in scope else is_foreign_socket
        if foreign(headers, self._origins):
            return ApiError(
                "auth.origin",
                "keys are off, and a page of another site sent the request",
                "Name its origin in PVM_API_CORS if it is yours, or turn keys on (PVM_API_AUTH=true)",
            )
        return None


def _unauthorised(code: str, reason: str) -> ApiError:
    return ApiError(
        code,
        reason,
        "Send a key of `pvm keys create` as Authorization: Bearer or X-API-Key",
        {"WWW-Authenticate": 'Bearer realm="pvm"'},
    )
