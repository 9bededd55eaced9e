"""The two databases: where they are, which versions, whether the schema is ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import psycopg

from pvm_cli.doctor.finding import Finding
from pvm_core.errors import PvmError
from pvm_resources.postgres import dsn as dsns
from pvm_resources.postgres import migrate
from pvm_resources.postgres.connect import dagster_url, database_dsn
from pvm_resources.postgres.server import EmbeddedServer, binaries
from pvm_resources.settings import Settings

_PATIENCE_S: Final = 3
#: Two clocks that differ by more make times of jobs and deliveries misleading.
_DRIFT_S: Final = 5.0


@dataclass(frozen=True)
class _Facts:
    postgres: str
    pgvector: str
    revision: str
    size_mb: float
    drift_s: float


def databases(settings: Settings) -> Iterator[Finding]:
    """Both databases; starts no server."""
    section = "database"
    if settings.needs_server:
        server = EmbeddedServer(settings.home)
        status = server.status()
        if not status.initialised:
            yield _binaries(None, "not made yet: the first pvm run makes it")
        elif not status.running:
            version = int((settings.home / "pg" / "data" / "PG_VERSION").read_text())
            yield _binaries(version, f"PostgreSQL {version}, stopped; commands start it where they need it")
        else:
            kept = "until pvm down" if status.keep else "while a command uses it"
            yield Finding(section, "embedded server", f"running {kept}, pid {status.pid}")
        if not status.running and settings.database_url is None and settings.dagster_url is None:
            return
    running = not settings.needs_server or EmbeddedServer(settings.home).status().running
    if settings.database_url is not None or running:
        yield from _ours(settings)
    if settings.dagster_url is not None or running:
        yield from _dagsters(settings)


def _binaries(version: int | None, said: str) -> Finding:
    try:
        binaries(version)
    except PvmError as error:
        return Finding("database", "embedded server", error.reason, "failed", error.remedy)
    return Finding("database", "embedded server", said)


def _ours(settings: Settings) -> Iterator[Finding]:
    try:
        dsn = database_dsn(settings)
        facts = _facts(dsn)
    except (PvmError, psycopg.Error) as error:
        yield _unreachable("pvm", error, "PVM_DATABASE_URL")
        return
    shown = f"PostgreSQL {facts.postgres}, pgvector {facts.pgvector or 'missing'}, {facts.size_mb:,.0f} MB"
    yield Finding("database", "pvm", f"{dsns.describe(dsn)}: {shown}")
    yield _schema(facts)
    if abs(facts.drift_s) > _DRIFT_S:
        remedy = "Set both clocks by NTP"
        said = f"the database's clock differs from this machine's by {facts.drift_s:+.0f} s"
        yield Finding("database", "clock", said, "warning", remedy)


def _schema(facts: _Facts) -> Finding:
    needed = migrate.head()
    if facts.revision == needed:
        return Finding("database", "schema", facts.revision)
    if not facts.revision:
        return Finding("database", "schema", "none yet: the first pvm run makes it")
    if facts.revision > needed:
        said = f"{facts.revision}, newer than this project's {needed}"
        return Finding("database", "schema", said, "failed", "Update this project")
    said = f"{facts.revision}, older than {needed}"
    return Finding("database", "schema", said, "note", "The next command that opens it upgrades it")


def _dagsters(settings: Settings) -> Iterator[Finding]:
    try:
        url = dagster_url(settings)
        facts = _facts(url)
    except (PvmError, psycopg.Error) as error:
        yield _unreachable("dagster", error, "DAGSTER_PG_URL")
        return
    revision = facts.revision or "no schema yet"
    yield Finding("database", "dagster", f"{dsns.describe(url)}: {revision}, {facts.size_mb:,.0f} MB")


def _unreachable(name: str, error: PvmError | psycopg.Error, variable: str) -> Finding:
    reason = error.reason if isinstance(error, PvmError) else str(error).strip().splitlines()[0]
    return Finding(
        "database", name, f"out of reach: {reason}", "failed", f"Start it (pvm up), or check {variable}"
    )


def _facts(dsn: str) -> _Facts:
    given = dsns.with_params(dsn, {"connect_timeout": str(_PATIENCE_S), "application_name": "pvm-doctor"})
    with psycopg.connect(given, autocommit=True) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version'), "
            "coalesce((SELECT extversion FROM pg_extension WHERE extname = 'vector'), ''), "
            "pg_database_size(current_database()) / 1e6, clock_timestamp(), "
            "to_regclass('alembic_version') IS NOT NULL"
        ).fetchone()
        assert row is not None
        postgres, vector, size, clock, versioned = row
        revision = (
            connection.execute("SELECT version_num FROM alembic_version").fetchone() if versioned else None
        )
    drift = (clock - datetime.now(UTC)).total_seconds()
    return _Facts(postgres, vector, revision[0] if revision else "", float(size), drift)
