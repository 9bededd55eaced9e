"""Who sits at the review page: a signed cookie in place of a key, and proof that a form is one of ours."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.responses import Response

from pvm_api.auth import Principal
from pvm_api.limits import RateLimiter
from pvm_api.problems import ApiError
from pvm_resources.store.api_keys import SCOPES, ApiKey, Keys

COOKIE: Final = "pvm_review"
#: A working day.
_LASTS_S: Final = 12 * 3600
#: Seconds for which a key's row is believed, as for keys in headers.
_BELIEVED_S: Final = 5.0
_CACHED_MAX: Final = 1_000
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
        nonce: random, so that two sessions of one key have different proofs.
        ends: seconds since the epoch.
    """

    key_id: str
    nonce: str
    ends: int


@dataclass(frozen=True)
class Visitor:
    """Whoever asks for a page, with the proof that their forms carry.

    Attributes:
        session: as the request brought it, else a new one (`fresh`), which the answer has to set.
    """

    principal: Principal | None
    session: Session
    fresh: bool
    proof: str


class SignIn(Exception):  # noqa: N818 - a turn, no fault
    """The page asks who it is; nobody known is there."""


class Sessions:
    """Sessions by a signed cookie; the server keeps none. One ends with its key, or after 12 hours.

    As an `Authenticator` it lets a session read over the API, so that pages can show its pictures; whatever
    changes something takes a key, or a form with its proof.

    Args:
        keys: where the keys are.
        auth: False lets everybody in as the machine's own user.
    """

    def __init__(self, keys: Keys, auth: bool) -> None:
        self._keys = keys
        self.auth = auth
        self._secret: bytes | None = None
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, ApiKey | None]] = {}
        self._wrong = RateLimiter(_WRONG)
        self._pages = RateLimiter(_PAGES)

    def __call__(self, request: Request) -> Principal | None:
        """The caller of an API route, who may look and do nothing else."""
        if request.method not in _SAFE:
            return None
        return self._principal(self._read(request.cookies.get(COOKIE, "")))

    def visitor(self, request: Request) -> Visitor:
        """Whoever asks for a page, counted against the limit.

        Raises:
            ApiError: 429 ``rate.limited``.
        """
        found = self._read(request.cookies.get(COOKIE, ""))
        session = found or _new("")
        principal = self._principal(found)
        self._pages.take(principal.caller if principal else _address(request))
        return Visitor(principal, session, found is None, self._sign("form", self._text(session)))

    def sign_in(self, request: Request, token: str) -> Session | None:
        """A session for whoever holds this key; None where it is wrong or may not review.

        Raises:
            ApiError: 429 ``rate.limited``: too many wrong keys.
        """
        address = _address(request)
        self._wrong.check(address)
        key = self._keys.find(token.strip())
        if key is None or "review" not in key.allows:
            self._wrong.take(address)
            return None
        return _new(key.key_id)

    def set(self, request: Request, response: Response, session: Session) -> None:
        """Has the browser keep the session."""
        body = self._text(session)
        response.set_cookie(
            COOKIE,
            f"{body}.{self._sign('session', body)}",
            max_age=_LASTS_S,
            httponly=True,
            samesite="strict",
            secure=_is_https(request),
        )

    def end(self, response: Response) -> None:
        """Has the browser forget the session."""
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    def check(self, visitor: Visitor, request: Request, proof: str) -> None:
        """Refuses a form that is none of ours.

        Raises:
            ApiError: 403 ``review.foreign``.
        """
        # Browsers of today say where a request comes from; the proof is for the others.
        site = request.headers.get("sec-fetch-site", "same-origin")
        ours = hmac.compare_digest(proof.encode(errors="replace"), visitor.proof.encode())
        if visitor.fresh or site != "same-origin" or not ours:
            raise ApiError("review.foreign", "the form is too old", "Load the page again")

    def _principal(self, session: Session | None) -> Principal | None:
        if not self.auth:
            return Principal("local", "local", frozenset(SCOPES))
        if session is None or not session.key_id:
            return None
        key = self._key(session.key_id)
        if key is None or "review" not in key.allows:
            return None
        return Principal(key.name, f"key:{key.key_id}", frozenset({"read", "review"}))

    def _key(self, key_id: str) -> ApiKey | None:
        now = time.monotonic()
        with self._lock:
            at, found = self._known.get(key_id, (-_BELIEVED_S, None))
        if now - at < _BELIEVED_S:
            return found
        found = self._keys.active(key_id)
        with self._lock:
            if len(self._known) >= _CACHED_MAX:
                self._known.clear()
            self._known[key_id] = (now, found)
        return found

    def _read(self, cookie: str) -> Session | None:
        body, _, signature = cookie.rpartition(".")
        if not body or not hmac.compare_digest(signature.encode(), self._sign("session", body).encode()):
            return None
        try:
            session = Session(**json.loads(base64.urlsafe_b64decode(body)))
        except (binascii.Error, ValueError, TypeError):
            # Signed by an earlier release with other fields.
            return None
        return session if session.ends > time.time() else None

    def _text(self, session: Session) -> str:
        return base64.urlsafe_b64encode(json.dumps(vars(session)).encode()).decode()

    def _sign(self, kind: str, text: str) -> str:
        if self._secret is None:
            self._secret = self._keys.secret("review")
        return hmac.new(self._secret, f"{kind}:{text}".encode(), hashlib.sha256).hexdigest()


def _new(key_id: str) -> Session:
    return Session(key_id, secrets.token_urlsafe(12), int(time.time()) + _LASTS_S)


def _address(request: Request) -> str:
    return f"address:{request.client.host if request.client else 'unknown'}"


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


Anybody = Annotated[Visitor, Depends(visitor_of)]
Known = Annotated[Visitor, Depends(reviewer_of)]
