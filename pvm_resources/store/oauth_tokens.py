"""OAuth access tokens of the accounts at the sources, shared by all processes."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pvm_resources.postgres.driver import Database
from pvm_resources.store.base import Repository

#: A token is renewed this long before its end, seconds: a request under way must not outlive it.
RENEW_BEFORE_S: Final = 60.0


@dataclass(frozen=True)
class Token:
    """An access token and the moment (with time zone) at which it ends."""

    value: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at!r})"


class OAuthTokens(Repository):
    """Table `source_tokens`; safe to use from several threads.

    Args:
        database: where the table lives.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._guard = threading.Lock()
        self._minting: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)

    def token(self, source: str, account: str, mint: Callable[[], Token]) -> str:
        """The account's token; where none is valid, `mint` is called by one process and the others wait.

        A failing `mint` stores nothing; the next caller waiting tries its own.

        Raises:
            StoreError: the database is out of reach.
        """
        found = self._db.value(_VALID, [source, account, RENEW_BEFORE_S])
        if found is not None:
            return str(found)
        # Threads of one process queue here, so that together they hold one connection and not the whole pool.
        with self._one_at_a_time(source, account), self._db.transaction() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"token:{source}:{account}"]
            )
            row = cursor.execute(_VALID, [source, account, RENEW_BEFORE_S]).fetchone()
            if row is not None:
                return str(row[0])
            fresh = mint()
            cursor.execute(_KEEP, [source, account, fresh.value, fresh.expires_at])
        return fresh.value

    def forget(self, source: str, account: str, value: str) -> None:
        """Deletes that token, refused by the server; another one stored meanwhile stays."""
        query = "DELETE FROM source_tokens WHERE source = %s AND account = %s AND token = %s"
        self._execute(query, source, account, value)

    def _one_at_a_time(self, source: str, account: str) -> threading.Lock:
        with self._guard:
            return self._minting[source, account]


# The server's clock at this very moment: now() stands still in a transaction that has waited for a lock.
_VALID: Final = (
    "SELECT token FROM source_tokens WHERE source = %s AND account = %s "
    "AND expires_at > clock_timestamp() + make_interval(secs => %s)"
)
_KEEP: Final = (
    "INSERT INTO source_tokens (source, account, token, expires_at) VALUES (%s, %s, %s, %s) "
    "ON CONFLICT (source, account) DO UPDATE SET token = excluded.token, expires_at = excluded.expires_at"
)
