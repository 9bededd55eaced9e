"""Dagster's storages over connections that stay open, for as long as a process works with its instance.

Dagster opens a connection for each call (SQLAlchemy's NullPool): a run of the whole graph opened 533. Each
costs a process of the server and the derivation of a key from the password. Processes that ask now and then
keep that way.
"""

from __future__ import annotations

import math
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import dagster as dg
    from sqlalchemy.engine import Engine

#: Connections kept; steps of one process write their events one after the other.
_KEPT: Final = 1
#: More that may be open at once: a storage may ask for a second while it holds one, and so may other threads.
_MORE: Final = 9
#: A connection last used this long ago is tried first, seconds: a run uses its own hundreds of times, mostly
#: within milliseconds.
_RESTED_S: Final = 1.0


@contextmanager
def kept_connections(instance: dg.DagsterInstance) -> Iterator[None]:
    """Within the block runs, events and schedules of `instance` share connections that stay open.

    A connection that has rested, or was ended by the server, is tried before it is used, so that a server
    that went away and came back is met as before.
    Storages other than PostgreSQL's, and those that share already, are left as they are.
    """
    # A second of CPU: processes that load the graph without running it do not pay for it.
    from dagster_postgres.utils import create_pg_engine
    from sqlalchemy.engine import Engine
    from sqlalchemy.pool import NullPool

    every = (instance.event_log_storage, instance.run_storage, instance.schedule_storage)
    stock: list[tuple[Any, Engine]] = [
        (storage, engine)
        for storage in every
        if isinstance(engine := getattr(storage, "_engine", None), Engine)
        and isinstance(engine.pool, NullPool)
        and engine.dialect.name == "postgresql"
    ]
    if not stock:
        yield
        return
    url = stock[0][1].url.render_as_string(hide_password=False)
    shared = create_pg_engine(url, isolation_level="AUTOCOMMIT", pool_size=_KEPT, max_overflow=_MORE)
    _try_rested(shared)
    try:
        # `optimize_for_webserver`, Dagster's own way, sets the same attribute, but tries no connection first.
        for storage, _ in stock:
            storage._engine = shared
        yield
    finally:
        for storage, engine in stock:
            storage._engine = engine
        shared.dispose()


def _try_rested(engine: Engine) -> None:
    """Has connections tried that the server may have left, and replaced where it has."""
    from sqlalchemy import event
    from sqlalchemy.exc import DisconnectionError

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
