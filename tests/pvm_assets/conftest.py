"""A platform for the graph's tests: fresh databases, a home of its own, Dagster's tables made once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from small_case import write_case
from stand import Stand

from pvm_assets.execution.bootstrap import bootstrap, dagster_instance
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.settings import load_settings
from pvm_resources.store.assembly import Store


@pytest.fixture(scope="session")
def small_case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small case on disk."""
    return write_case(tmp_path_factory.mktemp("small") / "case")


@pytest.fixture(scope="session")
def dagster_database(server: EmbeddedServer) -> Iterator[str]:
    """URL of a database for Dagster's tables, made once."""
    yield from _database(server, "dagster_tests", "")


@pytest.fixture(scope="session")
def shared_database(server: EmbeddedServer, migrated: str) -> Iterator[str]:
    """URL of a database that tests share: features that one test computed are there for the next."""
    yield from _database(server, "shared_tests", f"TEMPLATE {migrated} STRATEGY file_copy")


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home that belongs to the shared database."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def stand(
    shared_database: str,
    shared_home: Path,
    dagster_database: str,
    small_case: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Stand]:
    """A platform with an industry of its own and features shared with other tests."""
    yield from _stand(
        shared_database, shared_home, dagster_database, small_case, monkeypatch, request.node.name
    )


@pytest.fixture
def fresh(
    database_url: str,
    tmp_path: Path,
    dagster_database: str,
    small_case: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stand]:
    """A platform with a database and a home of its own."""
    yield from _stand(database_url, tmp_path / "home", dagster_database, small_case, monkeypatch, "fresh")


@pytest.fixture
def instance(stand: Stand) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance of the stand."""
    with dagster_instance() as found:
        yield found


def _database(server: EmbeddedServer, name: str, options: str) -> Iterator[str]:
    name = f"{name}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {options}")
        yield server.uri(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _stand(
    database: str, home: Path, dagster: str, case: Path, monkeypatch: pytest.MonkeyPatch, industry: str
) -> Iterator[Stand]:
    given = {
        "PVM_HOME": str(home),
        "PVM_DATABASE_URL": database,
        "DAGSTER_PG_URL": dagster,
        "PVM_WORKERS": "1",
        "EMBED_MODEL": "classic",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(home / "none.env")
    # It exports what its children need to this process; the suite takes that back after each test.
    platform = bootstrap(settings)
    with Database(database) as opened:
        yield Stand(settings, Store.over(opened), case, industry)
    platform.close()
