"""Fixtures: one embedded server for the session, a fresh migrated database for each test that asks."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pvm_resources.postgres import migrate
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.store import Store

_count = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A running embedded server, shared by the workers of one test run; durability off."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    home = EmbeddedServer(shared / "pg-home", durable=False)
    home.up()
    yield home
    home.down(if_unused=True)


@pytest.fixture(scope="session")
def migrated(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name of a database with the newest schema, to be copied."""
    name = f"template_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    migrate.upgrade(server.uri(name))
    return name


@pytest.fixture
def database_url(server: EmbeddedServer, migrated: str) -> Iterator[str]:
    """URL of a fresh database with the newest schema, dropped after the test."""
    yield from _fresh(server, f"TEMPLATE {migrated} STRATEGY file_copy")


@pytest.fixture
def empty_database_url(server: EmbeddedServer) -> Iterator[str]:
    """URL of a fresh database without any schema, e.g. for Dagster's tables; dropped after the test."""
    yield from _fresh(server, "")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database."""
    with Database(database_url) as found:
        yield found


@pytest.fixture
def repos(database: Database) -> Store:
    """All repositories over a fresh database."""
    return Store.over(database)


def _fresh(server: EmbeddedServer, options: str) -> Iterator[str]:
    name = f"t_{os.getpid()}_{next(_count)}"
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
