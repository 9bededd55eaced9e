"""The outer layer: hosts it answers to, pages it takes orders from, headers of every answer."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.status import WS_1008_POLICY_VIOLATION
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from pvm_api.origin import SAFE, Authority, Hosts, Proxies, foreign_fetch, foreign_page
from pvm_core.errors import InputError, PvmError

_METHODS: Final = SAFE | {"POST"}
#: Headers that decide something here; a request with two of one kind means something else to each reader.
_SINGLE: Final = ("host", "origin", "content-type", "sec-fetch-site", "authorization")
_FRAMES: Final = "frame-ancestors 'none'"
#: On every answer, in place of Dagster's own. Referrers `same-origin`: under `no-referrer` the sign-in form
#: would be sent with ``Origin: null``.
_HEADERS: Final = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """Refuses requests for other hosts and orders of other sites' pages; nothing may frame what it answers.

    Errors of the layers within become answers here.

    Args:
        app: what is guarded.
        hosts: answered to besides this machine's own names.
        proxies: believed when they name the host they were asked for.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts, proxies: Proxies) -> None:
        self._app = app
        self._hosts = hosts
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or websocket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            started = True
            if message["type"] == "http.response.start":
                _set_headers(MutableHeaders(scope=message))
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, receive, guarded)
        except PvmError as error:
            if started:
                raise
            await _refuse(error, scope, receive, guarded)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        for name in _SINGLE:
            if len(headers.getlist(name)) > 1:
                raise InputError("ui.request", "request", f"it has several headers {name}", "Send one")
        # Starlette's routes end in "$", which a final line feed passes: "/graphql%0A" would be "/graphql".
        if any(ord(character) < 0x20 or ord(character) == 0x7F for character in scope["path"]):
            raise InputError("ui.request", "path", "it has control characters", "Correct the address")
        host = self._host(scope, headers)
        if scope["type"] == "websocket" or scope["method"] not in SAFE:
            reason = foreign_page(headers, host)
        else:
            reason = "a page of another site embeds it" if foreign_fetch(headers) else None
        if reason is not None:
            raise InputError(
                "ui.foreign", "request", reason, "Open the Dagster UI itself; a program sends no Origin"
            )
        if scope["type"] == "http" and scope["method"] not in _METHODS:
            raise InputError("ui.method", scope["method"], "nothing here takes it", "Send GET or POST")

    def _host(self, scope: Scope, headers: Headers) -> Authority:
        """Whom the browser asked.

        Raises:
            InputError: ``ui.host``.
        """
        host = self._allowed(headers.get("host", ""), scope)
        client = scope.get("client")
        forwarded = headers.getlist("x-forwarded-host")
        if not forwarded or not self._proxies.trust(client[0] if client else None):
            return host
        # The last one is the nearest proxy's. Both must be ours: a proxy may pass on what a page sent.
        return self._allowed(forwarded[-1].rpartition(",")[2].strip(), scope)

    def _allowed(self, text: str, scope: Scope) -> Authority:
        found, server = Authority.parse(text), scope.get("server")
        if found is None or not self._hosts.allow(found, server[0] if server else None):
            raise InputError(
                "ui.host",
                text[:300] or "request",
                "the Dagster UI does not answer under this name",
                "Open http://127.0.0.1 with its port, or name the host in PVM_UI_HOSTS",
            )
        return found


def _set_headers(headers: MutableHeaders) -> None:
    headers.update(_HEADERS)
    policy = headers.get("content-security-policy", "").strip().removesuffix(";")
    if "frame-ancestors" not in policy:
        headers["Content-Security-Policy"] = f"{policy}; {_FRAMES}" if policy else _FRAMES


async def _refuse(error: PvmError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        # Before it is accepted, the server answers with 403.
        await WebSocketClose(WS_1008_POLICY_VIOLATION, error.code)(scope, receive, send)
        return
    headers = {"Cache-Control": "no-store", **getattr(error, "headers", {})}
    if error.http_status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="pvm"'
    if error.http_status == 405:
        headers["Allow"] = "GET, HEAD, POST"
    # Where the database is must not leave this machine.
    ours = error.traits.scope == "machine"
    text = f"the platform's database did not answer [{error.code}]" if ours else str(error)
    await PlainTextResponse(f"{text}\n", error.http_status, headers)(scope, receive, send)
