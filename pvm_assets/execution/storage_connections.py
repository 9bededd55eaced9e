"""Dagster's storages over connections that stay open: dagster.yaml names `PooledStorage`.

Dagster's own open a connection for each call (SQLAlchemy's NullPool), which no setting changes: a run of the
whole graph opened 533, and a daemon that only waited made the server work a tenth of a core. Each costs a
process of the server and the derivation of a key from the password.
"""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine, pg_url_from_config, set_pg_statement_timeout
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import QueuePool

if TYPE_CHECKING:
    import dagster as dg
    from dagster._serdes import ConfigurableClassData

#: Connections that a process keeps: the budget of PostgreSQL's `max_connections` counts processes times this.
KEPT: Final = 2
#: More that may be open for the moment of a call: a storage may ask for a second while it holds one, and so
#: may each thread of a daemon or web server. With none to spare they would wait for each other.
MORE: Final = 18
#: A connection last used this long ago is tried first, seconds: a run uses its own hundreds of times, mostly
#: within milliseconds.
_RESTED_S: Final = 1.0


class PooledStorage(DagsterPostgresStorage):
    """Runs, events and schedules of one database over the connections of this process.

    A connection that has rested, or was ended by the server, is tried before it is used, so that a server
    that went away and came back is met as before.
    """

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        if should_autocreate_tables:
            _make_tables(postgres_url, os.getpid())
        super().__init__(postgres_url, should_autocreate_tables=False, inst_data=inst_data)
        # `optimize_for_webserver`, Dagster's own way, sets the same attribute.
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = _engine(postgres_url, os.getpid())

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledStorage:
        """The storage of dagster.yaml; the fields are those of Dagster's own."""
        made = config_value.get("should_autocreate_tables", True)
        return cls(pg_url_from_config(config_value), made, inst_data)


def limit_statements(instance: dg.DagsterInstance, milliseconds: int) -> None:
    """Ends statements of this process after that time, as the web server wants it; its connections stay
    shared, where Dagster's own `optimize_for_webserver` would keep some for each storage."""
    for engine in _engines(instance):
        event.listen(engine, "connect", lambda made, _: set_pg_statement_timeout(made, milliseconds))
        engine.dispose()


def close_connections(instance: dg.DagsterInstance) -> None:
    """Closes what this process keeps open for `instance`; the next call opens one again."""
    for engine in _engines(instance):
        engine.dispose()


def _engines(instance: dg.DagsterInstance) -> set[Engine]:
    every = (instance.event_log_storage, instance.run_storage, instance.schedule_storage)
    found = (getattr(storage, "_engine", None) for storage in every)
    return {engine for engine in found if isinstance(engine, Engine) and isinstance(engine.pool, QueuePool)}


@cache
def _make_tables(url: str, process: int) -> None:
    """Makes what is missing, once a process: each storage looks for its tables."""
    DagsterPostgresStorage(url)


@cache
def _engine(url: str, process: int) -> Engine:
    """One a process: Dagster makes an instance for every tick of a sensor, and each would have its own."""
    made = create_pg_engine(url, isolation_level="AUTOCOMMIT", pool_size=KEPT, max_overflow=MORE)
    _try_rested(made)
    return made


def _try_rested(engine: Engine) -> None:
    """Has connections tried that the server may have left, and replaced where it has."""

    def note(connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    def check(connection: Any, record: Any, proxy: Any) -> None:
        # A server that ends a connection says so, and nothing else comes unasked.
        heard = select.poll()
        heard.register(connection, select.POLLIN)
        if not heard.poll(0) and time.monotonic() - record.info.get("used", math.inf) < _RESTED_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error

    event.listen(engine, "checkin", note)
    event.listen(engine, "checkout", check)
