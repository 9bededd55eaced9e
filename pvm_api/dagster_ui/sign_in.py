"""The middle layer: who is signed in, and the page where one signs in and out."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, cast
from urllib.parse import parse_qs, quote

import anyio
from anyio.to_thread import run_sync
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import URL
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.status import WS_1008_POLICY_VIOLATION
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from pvm_api.auth import address_of
from pvm_api.dagster_ui.links import SESSION_PATH
from pvm_api.dagster_ui.sessions import LASTS_S, Session, Sessions
from pvm_core.errors import InputError

#: Seconds between two looks whether the session of an open websocket has ended.
_LOOK_S: Final = 5.0
_FORM_MAX: Final = 10_000
_FORM: Final = "application/x-www-form-urlencoded"
#: Answered to everybody, for probes: versions and nothing else.
_PROBE: Final = "/server_info"


class SignIn:
    """Admits browsers that signed in with an admin's key or a link of `pvm up`, and programs with such a key.

    Args:
        app: what only they reach.
        sessions: who is signed in.
        prefix: path prefix of the UI.
        cookie: its name. Browsers keep cookies by host, not by port: two servers of one host need two.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, prefix: str, cookie: str) -> None:
        self._app = app
        self._sessions = sessions
        self._prefix = prefix
        self._cookie = cookie
        self._pages: Mapping[tuple[str, str], Callable[[Request], Response]] = {
            ("GET", SESSION_PATH): self._page,
            ("HEAD", SESSION_PATH): self._page,
            ("POST", f"{SESSION_PATH}/in"): self._in,
            ("POST", f"{SESSION_PATH}/out"): self._out,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or websocket.

        Raises:
            InputError: ``ui.signed_out``, ``ui.type``, ``ui.large``.
            ApiError: ``rate.limited``.
        """
        if scope["type"] == "lifespan" or scope["path"] == f"{self._prefix}{_PROBE}":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(self._prefix)
        page = self._pages.get((scope.get("method", ""), path))
        if page is not None:
            request = Request(scope, receive)
            scope.setdefault("state", {})["form"] = await _form(request) if request.method == "POST" else {}
            await (await run_sync(page, request))(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if await run_sync(self._who, connection) is None:
            await self._ask(connection)(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._watched(connection, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _who(self, connection: HTTPConnection) -> Session | None:
        kind, _, bearer = connection.headers.get("authorization", "").partition(" ")
        token = bearer if kind.lower() == "bearer" else connection.headers.get("x-api-key")
        if token:
            return self._sessions.by_key(token, _address(connection))
        return self._sessions.by_cookie(connection.cookies.get(self._cookie, ""))

    def _ask(self, connection: HTTPConnection) -> Response:
        """The way to the sign-in page, for a browser that opens a page.

        Raises:
            InputError: ``ui.signed_out``, for everything else.
        """
        page = "text/html" in connection.headers.get("accept", "")
        if connection.scope["type"] != "http" or connection.scope["method"] != "GET" or not page:
            raise InputError(
                "ui.signed_out",
                "the Dagster UI",
                "nobody is signed in",
                "Open it in a browser, or send Authorization: Bearer with a key of scope admin",
            )
        query = connection.scope["query_string"].decode("ascii", "replace")
        path = quote(connection.scope["path"], safe="/@:|,~=")
        here = self._within(f"{path}?{query}" if query else path)
        # A strict cookie does not come with a link of another site; it does when our own page asks again.
        if connection.headers.get("sec-fetch-site") == "cross-site":
            return _render(state="again", to=here)
        return RedirectResponse(
            f"{self._prefix}{SESSION_PATH}?back={quote(here, safe='')}", 303, {"Cache-Control": "no-store"}
        )

    async def _watched(self, connection: HTTPConnection, scope: Scope, receive: Receive, send: Send) -> None:
        """The websocket, closed soon after its session ends."""
        closed = False

        async def until_closed(message: Message) -> None:
            if not closed:
                await send(message)

        async def watch() -> None:
            nonlocal closed
            while await run_sync(self._who, connection) is not None:
                await anyio.sleep(_LOOK_S)
            closed = True
            await WebSocketClose(WS_1008_POLICY_VIOLATION, "ui.signed_out")(scope, receive, send)

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            await self._app(scope, receive, until_closed)
            group.cancel_scope.cancel()

    # -- the page ---------------------------------------------------------------------------------------

    def _page(self, request: Request) -> Response:
        token = request.query_params.get("token")
        if token is not None and request.method == "GET":
            session = self._sessions.by_link(token, _address(request))
            # No redirect: after a link of another site the browser would not send the new cookie along.
            found = self._render("link", 403) if session is None else self._render("again", to=self._home)
            return self._set(request, found, session) if session is not None else found
        session = self._who(request)
        if session is not None:
            return self._render("in", name=session.name)
        return self._render("out", back=self._within(request.query_params.get("back", "")))

    def _in(self, request: Request) -> Response:
        form = request.state.form
        back = self._within(form.get("back", ""))
        session = self._sessions.by_key(form.get("key", ""), _address(request))
        if session is None:
            return self._render("wrong", 403, back=back)
        return self._set(request, RedirectResponse(back, 303), session)

    def _out(self, request: Request) -> Response:
        self._sessions.close(request.cookies.get(self._cookie, ""))
        response = RedirectResponse(f"{self._prefix}{SESSION_PATH}", 303, {"Cache-Control": "no-store"})
        response.delete_cookie(self._cookie, path=self._home, httponly=True, samesite="strict")
        return response

    def _set(self, request: Request, response: Response, session: Session) -> Response:
        # A session of before ends here: nobody could sign it out any more.
        self._sessions.close(request.cookies.get(self._cookie, ""))
        response.headers["Cache-Control"] = "no-store"
        response.set_cookie(
            self._cookie,
            self._sessions.open(session),
            max_age=LASTS_S,
            path=self._home,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    def _render(self, state: str, status: int = 200, **context: Any) -> Response:
        base = f"{self._prefix}{SESSION_PATH}"
        return _render(status, state=state, action=base, home=self._home, **{"back": self._home, **context})

    @property
    def _home(self) -> str:
        return f"{self._prefix}/"

    def _within(self, path: str) -> str:
        """Where to go after the sign-in: a path of the UI, never another site."""
        odd = "\\" in path or path.startswith("//") or any(ord(c) <= 0x20 for c in path)
        fine = path.startswith(self._home) and not odd and not URL(path).netloc
        return path if fine else self._home


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("pvm_api.dagster_ui"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _render(status: int = 200, **context: Any) -> Response:
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    text = _templates().get_template("session.html").render(nonce=nonce, **context)
    return HTMLResponse(text, status, {"Content-Security-Policy": policy, "Cache-Control": "no-store"})


async def _form(request: Request) -> dict[str, str]:
    given = request.headers.get("content-type", "")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _FORM_MAX:
            raise InputError("ui.large", "form", f"it is larger than {_FORM_MAX:,} bytes", "Send a key")
    if body and given.partition(";")[0].strip().lower() != _FORM:
        raise InputError("ui.type", "Content-Type", f"it is {given[:100]}", f"Send {_FORM}")
    return {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


def _address(connection: HTTPConnection) -> str:
    # Of the request it reads the client alone.
    return address_of(cast(Request, connection))
