"""The stream in table `product_stream`: nothing to install, as durable as the products themselves.

A consumer claims rows for a while and deletes them once they are handled; what it did not delete in that
time, another claims.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import psycopg

from pvm_resources.postgres.driver import Database, store_errors
from pvm_resources.store.base import json
from pvm_resources.streams.base import CLAIM_S, KEY, DeadLetter, Depth, Entry, place

_Connection = psycopg.Connection[tuple[Any, ...]]
#: The channel of PostgreSQL's NOTIFY.
CHANNEL: Final = "pvm_product_stream"
#: What a connection begins with. A claim or an acknowledgement that a crash of the server takes back costs a
#: second delivery, which changes nothing; so nobody waits until it is on the disk.
_PREPARE: Final = {"listens": f"LISTEN {CHANNEL}", "reads": "SET synchronous_commit = off"}
#: Without a notification the table is looked at this often, seconds: what a dead consumer left tells nobody.
_LOOK_S: Final = 1.0
_PUBLISH: Final = f"""
WITH told AS (SELECT pg_notify('{CHANNEL}', ''))
INSERT INTO product_stream (stream, event) SELECT %s, %s FROM told RETURNING entry
"""
_CLAIM: Final = """
WITH free AS (
    SELECT entry FROM product_stream
    WHERE stream = %(stream)s AND dead_reason IS NULL
      AND (claimed_at IS NULL OR claimed_at < clock_timestamp() - make_interval(secs => %(claim)s))
    ORDER BY entry LIMIT %(count)s FOR UPDATE SKIP LOCKED)
UPDATE product_stream s SET consumer = %(consumer)s, claimed_at = clock_timestamp(),
    deliveries = s.deliveries + 1
FROM free WHERE s.entry = free.entry RETURNING s.entry, s.event, s.deliveries
"""
_DEPTH: Final = """
SELECT count(*) FILTER (WHERE dead_reason IS NULL AND claimed_at IS NULL),
       count(*) FILTER (WHERE dead_reason IS NULL AND claimed_at IS NOT NULL),
       count(*) FILTER (WHERE dead_reason IS NOT NULL)
FROM product_stream WHERE stream = %s
"""
_REPLAY: Final = """
WITH dead AS (
    SELECT entry FROM product_stream WHERE stream = %(stream)s AND dead_reason IS NOT NULL
    ORDER BY entry LIMIT %(limit)s FOR UPDATE)
UPDATE product_stream s SET dead_reason = NULL, claimed_at = NULL, deliveries = 0
FROM dead WHERE s.entry = dead.entry
"""


class PostgresStream:
    """See `Stream`.

    Args:
        database: of our tables. A publisher has one connection of its own, a reader two.
        key: several streams may share the table.
        claim_s: seconds that a consumer has for what it reads.
    """

    def __init__(self, database: Database, key: str = KEY, claim_s: float = CLAIM_S) -> None:
        self._db = database
        self._key = key
        self._claim_s = claim_s
        self._connections: dict[str, _Connection] = {}

    def publish(self, event: Mapping[str, str]) -> str:
        """See `Stream`."""
        with self._connected("publishes") as connection:
            row = connection.execute(_PUBLISH, [self._key, json(dict(event))]).fetchone()
        assert row is not None
        return str(row[0])

    def read(self, consumer: str, count: int, block_ms: int) -> list[Entry]:
        """See `Stream`."""
        until = time.monotonic() + block_ms / 1_000
        with self._connected("listens"):
            # What comes after the first look is told.
            pass
        while True:
            found = self._claim(consumer, count)
            left = until - time.monotonic()
            if found or left <= 0:
                return found
            with self._connected("listens") as listener:
                for _ in listener.notifies(timeout=min(left, _LOOK_S), stop_after=1):
                    pass

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        """See `Stream`."""
        if entries:
            with self._connected("reads") as connection:
                numbers = [one.handle for one in entries]
                connection.execute("DELETE FROM product_stream WHERE entry = ANY(%s)", [numbers])

    def postpone(self, entries: Sequence[Entry]) -> None:
        """See `Stream`: their claim runs out by itself."""

    def bury(self, entry: Entry, reason: str) -> None:
        """See `Stream`."""
        with self._db.transaction() as cursor:
            query = "UPDATE product_stream SET dead_reason = %s, claimed_at = NULL WHERE entry = %s"
            cursor.execute(query, [reason, entry.handle])

    def dead(self, limit: int) -> list[DeadLetter]:
        """See `Stream`."""
        query = (
            "SELECT entry::text, event, dead_reason FROM product_stream "
            "WHERE stream = %s AND dead_reason IS NOT NULL ORDER BY entry LIMIT %s"
        )
        return [DeadLetter(*row) for row in self._db.tuples(query, [self._key, limit])]

    def replay(self, limit: int) -> int:
        """See `Stream`."""
        with self._db.transaction() as cursor:
            done = cursor.execute(_REPLAY, {"stream": self._key, "limit": limit}).rowcount
            cursor.execute(f"NOTIFY {CHANNEL}")
        return done

    def depth(self) -> Depth:
        """See `Stream`."""
        return Depth(*self._db.tuples(_DEPTH, [self._key])[0])

    def close(self) -> None:
        """See `Stream`; the database is its maker's."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    @contextlib.contextmanager
    def _connected(self, does: str) -> Iterator[_Connection]:
        """A connection of its own, whose statements are transactions: one round trip each."""
        found = self._connections.get(does)
        with store_errors("the database"):
            if found is None or found.closed or (does == "publishes" and _told(found)):
                found = self._connections[does] = psycopg.connect(self._db.dsn, autocommit=True)
                if does in _PREPARE:
                    found.execute(_PREPARE[does])
            yield found

    def _claim(self, consumer: str, count: int) -> list[Entry]:
        values = {"stream": self._key, "consumer": consumer, "count": count, "claim": self._claim_s}
        with self._connected("reads") as connection:
            rows = connection.execute(_CLAIM, values).fetchall()
        return [Entry(str(row[0]), place(row[0]), row[1], row[2], row[0]) for row in sorted(rows)]


def _told(connection: _Connection) -> bool:
    """Whether the server said something unasked: that it ends."""
    return bool(select.select([connection.pgconn.socket], [], [], 0)[0])
