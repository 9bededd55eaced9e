"""Sessions of browsers that signed in with a key."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from pvm_resources.postgres.driver import Statement
from pvm_resources.store.api_keys import ApiKey
from pvm_resources.store.base import Repository, listed


class Sessions(Repository):
    """Table `review_sessions`. A token is random and known to its browser alone; its SHA-256 is stored."""

    def open(self, token: str, key_id: str, lasts: timedelta) -> None:
        """Begins a session of that key. Sessions that have ended are forgotten."""
        self._db.commit(
            Statement("DELETE FROM review_sessions WHERE ends_at <= now()"),
            Statement(
                "INSERT INTO review_sessions (hash, key_id, ends_at) VALUES (%s, %s, now() + %s)",
                [_hash(token), key_id, lasts],
            ),
        )

    def key_of(self, token: str) -> ApiKey | None:
        """The key that opened the session; None where it has ended, or the key is revoked."""
        return self._db.one(
            ApiKey,
            f"SELECT {listed(ApiKey, 'k')} FROM review_sessions s JOIN api_keys k USING (key_id) "
            "WHERE s.hash = %s AND s.ends_at > now() AND k.revoked_at IS NULL",
            [_hash(token)],
        )

    def close(self, token: str) -> None:
        """Ends the session; no error where it has ended."""
        self._execute("DELETE FROM review_sessions WHERE hash = %s", _hash(token))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
