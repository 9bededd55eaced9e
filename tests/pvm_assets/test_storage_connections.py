"""How often Dagster's storages connect, and that a connection the server dropped is replaced."""

from __future__ import annotations

import dagster as dg
import psycopg
from sqlalchemy import event

from pvm_assets.execution.storage_connections import kept_connections


def _ask(instance: dg.DagsterInstance) -> None:
    instance.get_runs(limit=1)
    instance.event_log_storage.get_pool_limits()
    instance.get_dynamic_partitions("pvm_job")


def test_storages_share_one_connection_within_the_block(instance: dg.DagsterInstance) -> None:
    with kept_connections(instance):
        opened: list[object] = []
        event.listen(instance.event_log_storage._engine, "connect", lambda made, _: opened.append(made))  # type: ignore[attr-defined]
        for _ in range(5):
            _ask(instance)
        assert len(opened) <= 1


def test_a_connection_that_the_server_dropped_is_replaced(
    instance: dg.DagsterInstance, dagster_database: str
) -> None:
    with kept_connections(instance):
        _ask(instance)
        with psycopg.connect(dagster_database, autocommit=True) as other:
            dropped = other.execute(
                "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchone()
        assert dropped is not None
        assert dropped[0] >= 1
        _ask(instance)
