"""Sessions of the review page: a signed cookie in place of an API key, and CSRF tokens for its forms.

The cookie names a session that the database knows, so that signing out ends it wherever a copy of it is."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Annotated, Final

from fastapi import Depends, Request
from itsdangerous import BadData, Signer, URLSafeTimedSerializer
from starlette.requests import HTTPConnection
from starlette.responses import Response

from pvm_api.auth import LOCAL, KeyCache, Principal, address_of
from pvm_api.limits import RateLimiter
from pvm_api.paging import DIGEST
from pvm_api.problems import ApiError
from pvm_resources.store.api_keys import ApiKey
from pvm_resources.store.assembly import Store

COOKIE: Final = "pvm_review"
#: A working day.
_LASTS_S: Final = 12 * 3600
#: Wrong keys a minute of one address.
_WRONG: Final = 20
#: Requests a minute of one reviewer: a page has a thumbnail a match, and people scroll.
_PAGES: Final = 12_000
_SAFE: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Session:
    """What the cookie holds.

    Attributes:
        key_id: of the key that signed in; "" before.
        nonce: random, the session's own token in the database; CSRF tokens sign it, so that two sessions of
            one key have different ones.
    """

    key_id: str
    nonce: str

    @classmethod
    def new(cls, key_id: str) -> Session:
        """A session with a nonce of its own."""
        return cls(key_id, secrets.token_urlsafe(24))


@dataclass(frozen=True)
class Visitor:
    """The caller of a page.

    Attributes:
        principal: None where nobody is signed in.
        session: as the request brought it, else a new one (`fresh`), which the answer has to set.
        csrf_token: what the page's forms must send.
        may_change: the key may change what jobs accept, beyond judging matches.
    """

    principal: Principal | None
    session: Session
    fresh: bool
    csrf_token: str
    may_change: bool = False


class SignIn(Exception):  # noqa: N818 - leads to the sign-in page
    """The page needs a reviewer, and nobody is signed in."""


class Sessions:
    """Sessions in a signed cookie. One ends when its browser signs out, with its key, or after 12 hours.
    Browsers of one key have sessions of their own.

    As an `Authenticator` it lets a session read over the API, so that pages can show its pictures; whatever
    changes something needs a key, or a form with its CSRF token.

    Args:
        store: where keys and sessions are.
        auth: False admits everybody as the machine's own user.
    """

    def __init__(self, store: Store, auth: bool) -> None:
        self._store = store
        self.auth = auth
        self._secret = cache(lambda: store.keys.secret("review"))
        self._open = KeyCache(store.sessions.key_of)
        self._wrong = RateLimiter(_WRONG)
        self._pages = RateLimiter(_PAGES)

    def __call__(self, request: HTTPConnection) -> Principal | None:
        """The caller of an API route, who may read and change nothing."""
        # A websocket has no method: the API's only send.
        reads = request.scope.get("method", "GET") in _SAFE
        return self._principal(self._read(request)) if reads else None

    def visitor(self, request: Request) -> Visitor:
        """The caller of a page, counted against the limit.

        Raises:
            ApiError: 429 ``rate.limited``.
        """
        found = self._read(request)
        session = found or Session.new("")
        principal = self._principal(found)
        self._pages.take(principal.caller if principal else address_of(request))
        token = self._csrf.get_signature(session.nonce).decode()
        key = self._key(found)
        may_change = not self.auth or (key is not None and "admin" in key.allows)
        return Visitor(principal, session, found is None, token, may_change)

    def sign_in(self, request: Request, token: str) -> Session | None:
        """A session for the holder of this key; None where it is wrong or may not review.

        Raises:
            ApiError: 429 ``rate.limited``: too many wrong keys.
        """
        key = self._store.keys.find(token.strip())
        if key is None or "review" not in key.allows:
            # Failures alone are slowed down: nobody can lock out the holder of a key.
            self._wrong.take(address_of(request))
            return None
        session = Session.new(key.key_id)
        self._store.sessions.open(session.nonce, key.key_id, timedelta(seconds=_LASTS_S))
        return session

    def set(self, request: Request, response: Response, session: Session) -> None:
        """Has the browser keep the session."""
        response.set_cookie(
            COOKIE,
            str(self._cookies.dumps(vars(session))),
            max_age=_LASTS_S,
            httponly=True,
            samesite="strict",
            secure=_is_https(request),
        )

    def end(self, session: Session, response: Response) -> None:
        """Ends the session, and has the browser forget it; another process of the API notices within five
        seconds."""
        self._store.sessions.close(session.nonce)
        self._open.forget(session.nonce)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    def check(self, visitor: Visitor, request: Request, csrf_token: str) -> None:
        """Refuses a form that was not sent by a page of this application.

        Raises:
            ApiError: 403 ``review.foreign``.
        """
        # Current browsers state where a request comes from; the token is for the others.
        site = request.headers.get("sec-fetch-site", "same-origin")
        ours = self._csrf.verify_signature(visitor.session.nonce, csrf_token)
        if visitor.fresh or site != "same-origin" or not ours:
            raise ApiError("review.foreign", "the form is too old", "Load the page again")

    def _principal(self, session: Session | None) -> Principal | None:
        if not self.auth:
            return LOCAL
        key = self._key(session)
        if key is None or "review" not in key.allows:
            return None
        return Principal(key.name, f"key:{key.key_id}", frozenset({"read", "review"}))

    def _key(self, session: Session | None) -> ApiKey | None:
        return self._open.get(session.nonce) if session is not None and session.key_id else None

    def _read(self, request: HTTPConnection) -> Session | None:
        try:
            return Session(**self._cookies.loads(request.cookies.get(COOKIE, ""), max_age=_LASTS_S))
        except (BadData, TypeError):
            # A TypeError: signed by a release whose sessions have other fields.
            return None

    @property
    def _cookies(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self._secret(), "session", signer_kwargs={"digest_method": DIGEST})

    @property
    def _csrf(self) -> Signer:
        return Signer(self._secret(), "csrf", digest_method=DIGEST)


def _is_https(request: Request) -> bool:
    return request.url.scheme == "https" or request.app.state.services.base(request).startswith("https:")


def sessions_of(request: Request) -> Sessions:
    """The sessions of the application that answers."""
    found: Sessions = request.app.state.sessions
    return found


def visitor_of(request: Request) -> Visitor:
    """The dependency of pages that everybody may see."""
    found = sessions_of(request).visitor(request)
    request.state.visitor = found
    return found


def reviewer_of(visitor: Annotated[Visitor, Depends(visitor_of)]) -> Visitor:
    """The dependency of pages that only a reviewer may see."""
    if visitor.principal is None:
        raise SignIn
    return visitor


AnyVisitor = Annotated[Visitor, Depends(visitor_of)]
SignedIn = Annotated[Visitor, Depends(reviewer_of)]
