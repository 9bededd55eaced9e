"""Alembic's entry: `postgres.migrate` hands over an open connection, or the command line a URL."""

from __future__ import annotations

import os

from alembic import context
from sqlalchemy import create_engine, pool

from pvm_resources.postgres.dsn import to_url


def run() -> None:
    """Runs the migrations on the connection given by the caller, or on ``PVM_DATABASE_URL``."""
    given = context.config.attributes.get("connection")
    if given is not None:
        _migrate(given)
        return
    engine = create_engine(to_url(os.environ["PVM_DATABASE_URL"], "psycopg"), poolclass=pool.NullPool)
    with engine.connect() as connection:
        _migrate(connection)
        connection.commit()


def _migrate(connection) -> None:  # type: ignore[no-untyped-def]
    context.configure(connection=connection, transaction_per_migration=False)
    with context.begin_transaction():
        context.run_migrations()


run()
