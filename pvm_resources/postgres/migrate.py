"""Migrates a database to the schema this release needs, in process."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from pvm_core.errors import StoreError
from pvm_resources.postgres import dsn as dsns

if TYPE_CHECKING:
    from alembic.config import Config

_SCRIPTS: Final = Path(__file__).resolve().parents[2] / "sql"
#: 0.8.2 to 0.8.4 repaired HNSW builds and vacuum that corrupt an index (pgvector's CHANGELOG).
PGVECTOR_MIN: Final = (0, 8, 4)
POSTGRES_MIN: Final = 16
#: Session lock under which one process migrates; an arbitrary constant.
_LOCK: Final = 7_064_011_733


def head() -> str:
    """The revision this release needs."""
    return max(path.name.partition("_")[0] for path in (_SCRIPTS / "versions").glob("[0-9]*_*.py"))


def current(dsn: str) -> str | None:
    """The revision of a database; None where it has no schema of this project.

    Raises:
        StoreError: the database is out of reach.
    """
    with _connection(dsn) as connection:
        return _current(connection)


def upgrade(dsn: str, revision: str | None = None) -> str:
    """Upgrades to `revision` (default: what this release needs) and returns it.

    Safe when several processes call it at once. Costs one query where nothing is to be done.

    Raises:
        StoreError: ``store.pgvector``, ``store.postgres``, ``store.newer``, or out of reach.
    """
    target = revision or head()
    with _connection(dsn) as connection:
        found = _current(connection)
        if found == target:
            return target
        if found is not None and found > head():
            raise StoreError(
                "store.newer", dsns.describe(dsn), f"its schema {found} is newer than ours, {head()}",
                "Update this project",
            )  # fmt: skip
        _check_server(connection, dsn)
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        with _failures(dsn):
            _run(dsn, lambda command, config: command.upgrade(config, target))
    return target


def downgrade(dsn: str, revision: str = "base") -> None:
    """Downgrades to `revision`; ``base`` removes all tables of this project with their rows.

    Raises:
        StoreError: the database is out of reach.
    """
    with _connection(dsn) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        with _failures(dsn):
            _run(dsn, lambda command, config: command.downgrade(config, revision))


@contextlib.contextmanager
def _connection(dsn: str) -> Iterator[psycopg.Connection]:
    try:
        connection = psycopg.connect(
            dsns.with_params(dsn, {"connect_timeout": "10", "application_name": "pvm-migrate"}),
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        raise StoreError(
            "store.unreachable", dsns.describe(dsn), str(error).strip(), "Start the database and try again",
        ) from error  # fmt: skip
    with connection:
        yield connection


def _current(connection: psycopg.Connection) -> str | None:
    row = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        return None
    version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(version[0]) if version else None


def _check_server(connection: psycopg.Connection, dsn: str) -> None:
    if connection.info.server_version < POSTGRES_MIN * 10_000:
        version = connection.info.parameter_status("server_version")
        raise StoreError(
            "store.postgres",
            dsns.describe(dsn),
            f"it is PostgreSQL {version}",
            f"Use PostgreSQL {POSTGRES_MIN} or later",
        )
    row = connection.execute(
        "SELECT coalesce((SELECT extversion FROM pg_extension WHERE extname = 'vector'), ''), "
        "coalesce((SELECT default_version FROM pg_available_extensions WHERE name = 'vector'), '')"
    ).fetchone()
    installed, available = row or ("", "")
    best = max(_version(installed), _version(available))
    if best < PGVECTOR_MIN:
        have = f"pgvector {installed or available}" if best else "no pgvector"
        raise StoreError(
            "store.pgvector", dsns.describe(dsn), f"the server has {have}",
            f"Install pgvector {'.'.join(map(str, PGVECTOR_MIN))} or later on it",
        )  # fmt: skip


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _run(dsn: str, step: Callable[..., None]) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    config: Config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    engine = create_engine(dsns.to_url(dsn, "psycopg"), poolclass=NullPool)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        step(command, config)


@contextlib.contextmanager
def _failures(dsn: str) -> Iterator[None]:
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        raise StoreError(
            "store.migration", dsns.describe(dsn), str(error.orig).strip().splitlines()[0],
            "The schema is unchanged; correct the cause and try again",
        ) from error  # fmt: skip
