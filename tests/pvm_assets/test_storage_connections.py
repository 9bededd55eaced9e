"""How often Dagster's storages connect, and that a connection the server dropped is replaced."""

from __future__ import annotations

import dagster as dg
import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from pvm_assets.execution.storage_connections import KEPT, PooledStorage, close_connections, limit_statements
from pvm_resources.postgres.dsn import to_url


def _ask(instance: dg.DagsterInstance) -> None:
    instance.get_runs(limit=1)
    instance.event_log_storage.get_pool_limits()
    instance.get_dynamic_partitions("pvm_job")


def _open(database: str) -> int:
    with psycopg.connect(database, autocommit=True) as other:
        row = other.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_all_instances_of_a_process_share_few_connections(
    instance: dg.DagsterInstance, dagster_database: str
) -> None:
    opened: list[object] = []
    event.listen(instance.event_log_storage._engine, "connect", lambda made, _: opened.append(made))  # type: ignore[attr-defined]
    for _ in range(5):
        _ask(instance)
        # As each tick of a sensor has it.
        with dg.DagsterInstance.from_ref(instance.get_ref()) as another:
            _ask(another)
    assert len(opened) <= KEPT
    assert _open(dagster_database) <= KEPT


def test_a_connection_that_the_server_dropped_is_replaced(
    instance: dg.DagsterInstance, dagster_database: str
) -> None:
    _ask(instance)
    with psycopg.connect(dagster_database, autocommit=True) as other:
        dropped = other.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert dropped is not None
    assert dropped[0] >= 1
    _ask(instance)


def test_nothing_stays_open_where_it_is_closed(instance: dg.DagsterInstance, dagster_database: str) -> None:
    _ask(instance)
    close_connections(instance)
    assert _open(dagster_database) == 0
    _ask(instance)


def test_the_tables_are_made_where_there_are_none(empty_database_url: str) -> None:
    storage = PooledStorage(to_url(empty_database_url))
    assert storage.run_storage.get_runs() == []


def test_a_statement_of_the_web_server_ends_after_its_time(empty_database_url: str) -> None:
    storage = PooledStorage(to_url(empty_database_url))
    with dg.DagsterInstance.ephemeral() as instance:
        for name in ("_run_storage", "_event_storage", "_schedule_storage"):
            setattr(instance, name, getattr(storage, name.replace("_event_", "_event_log_")))
        limit_statements(instance, 50)
        with storage.run_storage.connect() as connection, pytest.raises(DBAPIError, match="timeout"):  # type: ignore[attr-defined]
            connection.exec_driver_sql("SELECT pg_sleep(20)")
