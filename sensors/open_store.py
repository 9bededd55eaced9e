"""The tables, as one tick of a sensor or schedule uses them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pvm_resources.postgres.connect import database_dsn
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import load_settings
from pvm_resources.store.assembly import Store


@contextmanager
def open_store() -> Iterator[Store]:
    """The store of this machine's settings; connections are closed after the tick."""
    with Database(database_dsn(load_settings()), max_connections=2) as database:
        yield Store.over(database)
