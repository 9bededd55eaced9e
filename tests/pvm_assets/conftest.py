"""A platform for the graph's tests: fresh databases, a home of its own, Dagster's tables made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from pvm_assets.bootstrap import bootstrap, dagster_instance
from pvm_resources.database import Database
from pvm_resources.repositories import Repositories
from pvm_resources.server import EmbeddedServer
from pvm_resources.settings import load_settings
from small_case import write_case
from stand import Stand


@pytest.fixture(scope="session")
def small_case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small case on disk."""
    return write_case(tmp_path_factory.mktemp("small") / "case")


@pytest.fixture(scope="session")
def dagster_database(server: EmbeddedServer) -> Iterator[str]:
    """URL of a database for Dagster, its tables made."""
    name = "dagster_tests"
    with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield server.uri(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def stand(
    database_url: str,
    dagster_database: str,
    tmp_path: Path,
    small_case: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stand]:
    """A platform with a fresh database and home."""
    for name, value in {
        "PVM_HOME": str(tmp_path / "home"),
        "PVM_DATABASE_URL": database_url,
        "DAGSTER_PG_URL": dagster_database,
        "PVM_WORKERS": "2",
        "EMBED_MODEL": "classic",
    }.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(tmp_path / "none.env")
    platform = bootstrap(settings)
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    with Database(database_url) as database:
        yield Stand(settings, Repositories.over(database), small_case)
    platform.close()


@pytest.fixture
def instance(stand: Stand) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance of the stand."""
    with dagster_instance() as found:
        yield found
