"""Fixtures: one embedded server for the session; for each test that asks, a database without rows."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.store.assembly import Store
from tests.databases import Databases, template

_count = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A running embedded server, shared by the workers of one test run; durability off."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    home = EmbeddedServer(shared / "pg-home", durable=False)
    if home.up():
        with psycopg.connect(home.uri("postgres"), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_commit = off")
            # Databases of tests do not live long enough for it.
            connection.execute("ALTER SYSTEM SET autovacuum = off")
            connection.execute("SELECT pg_reload_conf()")
    yield home
    home.down(if_unused=True)


@pytest.fixture(scope="session")
def migrated(server: EmbeddedServer) -> str:
    """Name of a database with the newest schema, to be copied."""
    return template(server)


@pytest.fixture(scope="session")
def databases(server: EmbeddedServer, migrated: str) -> Iterator[Databases]:
    """Where tests and modules of this worker get their databases."""
    made = Databases(server, migrated)
    yield made
    made.close()


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """URL of a database with the newest schema and no rows, this test's own."""
    with databases.one() as url:
        yield url


@pytest.fixture
def empty_database_url(server: EmbeddedServer) -> Iterator[str]:
    """URL of a fresh database without any schema, e.g. for Dagster's tables; dropped after the test."""
    yield from _fresh(server, "")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database without rows."""
    with Database(database_url) as found:
        yield found


@pytest.fixture
def repos(database: Database) -> Store:
    """All repositories over a database without rows."""
    return Store.over(database)


def _fresh(server: EmbeddedServer, options: str) -> Iterator[str]:
    name = f"f_{os.getpid()}_{next(_count)}"
    with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {options}")
        yield server.uri(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """The server of a home of its own, not started; stopped after the test."""
    own = EmbeddedServer(tmp_path / "home", durable=False)
    yield own
    own.down()
