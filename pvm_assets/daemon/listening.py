"""The news of both databases: requests in our inbox, and every event that Dagster's storage announces."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Final

import psycopg

from pvm_assets.daemon.attention import Attention
from pvm_resources.postgres.dsn import describe, with_params

#: The channel of `dagster_postgres.event_log` (Dagster 1.13): a NOTIFY for every event of a run.
RUN_EVENTS: Final = "run_events"
#: Seconds between two looks whether the listener is to end.
_LOOK_S: Final = 5.0
#: Seconds within which a call of our own has to be heard; one server takes milliseconds.
_ECHO_S: Final = 10.0
#: Seconds after a failure until the next attempt; loops keep Dagster's own pace meanwhile.
_AGAIN_S: Final = 5.0
_ECHO: Final = "pvm daemon listens"
_log = logging.getLogger("pvm.daemon")


@dataclass(frozen=True)
class Channel:
    """Where news come from.

    Attributes:
        dsn: the database, in any libpq form; secret.
        name: PostgreSQL's channel.
        urgent: see `Attention.news`.
    """

    dsn: str
    name: str
    urgent: bool


class Listener(threading.Thread):
    """Listens to a channel in a thread, and connects again where the server went away.

    A pooler that shares sessions (PgBouncer's transaction mode) lets no news through: our own call, from a
    second connection, is then not heard, and the loops keep Dagster's own pace.
    """

    def __init__(self, channel: Channel, attention: Attention) -> None:
        super().__init__(name=f"listen-{channel.name}", daemon=True)
        self._channel = channel
        self._attention = attention
        self._ended = threading.Event()

    def close(self) -> None:
        """Ends the thread within seconds; it need not be waited for."""
        self._ended.set()

    def run(self) -> None:
        """Listens until `close`."""
        while not self._ended.is_set():
            try:
                with self._connect() as connection:
                    self._listen(connection)
            except psycopg.Error as error:
                _log.warning("%s is not heard: %s", describe(self._channel.dsn), error)
            self._attention.trust(self._channel, heard=False)
            self._ended.wait(_AGAIN_S)

    def _connect(self) -> psycopg.Connection:
        known = with_params(self._channel.dsn, {"application_name": "pvm daemon", "keepalives_idle": "30"})
        return psycopg.connect(known, autocommit=True)

    def _listen(self, connection: psycopg.Connection) -> None:
        connection.execute(f"LISTEN {self._channel.name}")
        with self._connect() as other:
            other.execute("SELECT pg_notify(%s, %s)", [self._channel.name, _ECHO])
        asked = time.monotonic()
        trusted = False
        while not self._ended.is_set():
            for notice in connection.notifies(timeout=_LOOK_S):
                if notice.payload == _ECHO:
                    trusted = True
                    self._attention.trust(self._channel, heard=True)
                else:
                    self._attention.news(urgent=self._channel.urgent)
            if not trusted and time.monotonic() - asked > _ECHO_S:
                _log.warning("%s lets no news through (a pooler of sessions?)", describe(self._channel.dsn))
                return
