"""Dumps of a database and their way back, by PostgreSQL's own programs of the embedded server's wheel."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo

from pvm_core.errors import StoreError
from pvm_resources.postgres import dsn as dsns
from pvm_resources.postgres.driver import store_errors
from pvm_resources.postgres.server import binaries

#: Tables whose rows are secrets, or mean nothing without them.
SECRETS: Final = (
    "api_keys", "api_secrets", "source_tokens", "endpoints", "deliveries", "delivery_streams",
)  # fmt: skip


def dump(dsn: str, target: Path, *, without: Sequence[str] = ()) -> None:
    """Writes a snapshot of a database, in PostgreSQL's custom format.

    Args:
        without: tables whose rows are left out.

    Raises:
        StoreError: ``backup.database``.
    """
    left_out = [f"--exclude-table-data=public.{table}" for table in without]
    _run("pg_dump", dsn, "--format=custom", "--no-owner", "--no-privileges", *left_out, f"--file={target}")


def load(dsn: str, source: Path, *, clean: bool = False) -> None:
    """Reads a dump into a database, in one transaction.

    Args:
        clean: drop what is there first.

    Raises:
        StoreError: ``backup.database``; the database is as it was.
    """
    drop = ["--clean", "--if-exists"] if clean else []
    one = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
    _run("pg_restore", dsn, *one, *drop, str(source))


def major_version(dsn: str) -> int:
    """Major version of the server.

    Raises:
        StoreError: it is out of reach.
    """
    with store_errors(dsns.describe(dsn)), psycopg.connect(dsn, connect_timeout=10) as connection:
        return connection.info.server_version // 10_000


def is_empty(dsn: str) -> bool:
    """True where the database holds no table of anybody's.

    Raises:
        StoreError: it is out of reach.
    """
    query = "SELECT NOT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'public')"
    with store_errors(dsns.describe(dsn)), psycopg.connect(dsn, connect_timeout=10) as connection:
        row = connection.execute(query).fetchone()
    return bool(row and row[0])


def _run(program: str, dsn: str, *arguments: str) -> None:
    params = dsns.parse(dsn)
    password = params.pop("password", None)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    # Arguments are shown to every user of the machine, the environment is not.
    environment = clean if password is None else {**clean, "PGPASSWORD": password}
    command = [
        str(binaries() / program),
        "--no-password",
        f"--dbname={make_conninfo('', **params)}",
        *arguments,
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise StoreError(
            "backup.database",
            dsns.describe(dsn),
            f"{program} failed: {said[0] if said else f'exit code {done.returncode}'}",
            "Correct that and run it again; nothing was changed",
        )
