"""Who is signed in: sessions in the memory of the web server, by key or by a link of `pvm up`."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Final

from pvm_api.auth import KeyCache
from pvm_api.dagster_ui.links import SECRET, Links
from pvm_api.limits import RateLimiter
from pvm_resources.store.api_keys import ApiKey, Keys

#: A working day.
LASTS_S: Final = 12 * 3600
_SESSIONS_MAX: Final = 1_000
#: Wrong keys and links a minute of one address.
_WRONG: Final = 20


@dataclass(frozen=True)
class Session:
    """A browser that is signed in.

    Attributes:
        name: who, for people.
        key_id: of the key that signed in; None where a link of `pvm up` did.
        until: its end, `time.monotonic`.
    """

    name: str
    key_id: str | None
    until: float


class Sessions:
    """Sessions of one web server. One ends by sign-out, with its key, after 12 hours, or with the process.

    Only digests of cookies are kept, and no cookie says anything by itself: one that is signed out is dead.

    Args:
        keys: where the keys are. A key needs the scope ``admin``: who may launch runs may do everything.
    """

    def __init__(self, keys: Keys) -> None:
        self._active = KeyCache(keys.active)
        self._by_token = KeyCache(keys.find)
        self._links = Links(keys.secret(SECRET))
        self._wrong = RateLimiter(_WRONG)
        self._lock = threading.Lock()
        self._open: dict[bytes, Session] = {}

    def by_key(self, token: str, address: str) -> Session | None:
        """The holder of this key; None where it is wrong or no admin's.

        Raises:
            ApiError: 429 ``rate.limited``: too many wrong keys of `address`. A right one is never refused.
        """
        key = self._by_token.get(token.strip())
        if key is None or not _may(key):
            self._wrong.take(address)
            return None
        return Session(key.name, key.key_id, time.monotonic() + LASTS_S)

    def by_link(self, token: str, address: str) -> Session | None:
        """A session by a link of `pvm up`; None where it does not count any more.

        Raises:
            ApiError: 429 ``rate.limited``.
        """
        with self._lock:
            genuine = self._links.redeem(token)
        if not genuine:
            self._wrong.take(address)
            return None
        return Session("link of pvm up", None, time.monotonic() + LASTS_S)

    def open(self, session: Session) -> str:
        """The value of the cookie of a new session."""
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            while len(self._open) >= _SESSIONS_MAX:
                self._open.pop(next(iter(self._open)))
            self._open[_digest(cookie)] = session
        return cookie

    def by_cookie(self, cookie: str) -> Session | None:
        """The session of a cookie; None where there is none, or where it has ended."""
        with self._lock:
            session = self._open.get(_digest(cookie))
        if session is None:
            return None
        if session.until < time.monotonic() or not self._key_stands(session):
            self.close(cookie)
            return None
        return session

    def close(self, cookie: str) -> None:
        """Ends the session of a cookie."""
        with self._lock:
            self._open.pop(_digest(cookie), None)

    def _key_stands(self, session: Session) -> bool:
        if session.key_id is None:
            return True
        key = self._active.get(session.key_id)
        return key is not None and _may(key)


def _may(key: ApiKey) -> bool:
    return "admin" in key.allows


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).digest()
