"""Dagster's own tables, where a release of this project changes their content."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from pvm_jobs.job_ids import SEPARATOR
from pvm_resources.postgres import dsn as dsns
from pvm_resources.postgres.driver import store_errors

#: Row of Dagster's key-value table with the separator of its partition keys.
_MARK: Final = "pvm.partition_separator"
#: Transaction lock under which one process rewrites; an arbitrary constant.
_LOCK: Final = 7_064_011_734
#: Columns that hold partition keys, alone or inside serialised events, runs, backfills and ticks.
_COLUMNS: Final = {
    "dynamic_partitions": ("partition",),
    "runs": ("partition", "run_body"),
    "run_tags": ("value",),
    "event_logs": ("partition", "event"),
    "asset_check_executions": ("partition", "evaluation_event"),
    "asset_keys": ("last_materialization", "cached_status_data"),
    "asset_event_tags": ("value",),
    "bulk_actions": ("body",),
    "backfill_tags": ("value",),
    "instigators": ("instigator_body",),
    "job_ticks": ("tick_body",),
    "asset_daemon_asset_evaluations": ("asset_evaluation_body",),
}
_SLUGS: Final = """
SELECT DISTINCT split_part(key, '|', 1) FROM (
    SELECT partition AS key FROM dynamic_partitions
    UNION ALL SELECT partition FROM event_logs
    UNION ALL SELECT partition FROM asset_check_executions
    UNION ALL SELECT value FROM run_tags WHERE key LIKE 'dagster/%%partition%%'
) known WHERE key ~ '^[a-z0-9-]+[|][A-Za-z0-9_-]+$'
"""


def migrate_partition_keys(dsn: str) -> int:
    """Rewrites partition keys ``slug|job`` of earlier releases to today's; returns how many rows changed.

    Runs once per database, in one transaction: killed halfway it leaves all as it was. There is nothing to do
    before Dagster has made its tables, all of them: it may have been killed between two.

    Args:
        dsn: Dagster's database.

    Raises:
        StoreError: the database is out of reach.
    """
    with store_errors(dsns.describe(dsn)), psycopg.connect(dsn) as connection:
        made = "SELECT bool_and(to_regclass(name) IS NOT NULL) FROM unnest(%s::text[]) name"
        row = connection.execute(made, [["kvs", *_COLUMNS]]).fetchone()
        if row != (True,) or _marked(connection):
            return 0
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        if _marked(connection):
            return 0
        changed = _rewrite(connection, sorted(slug for (slug,) in connection.execute(_SLUGS, [])))
        connection.execute("INSERT INTO kvs (key, value) VALUES (%s, %s)", [_MARK, SEPARATOR])
    return changed


def _marked(connection: psycopg.Connection[Any]) -> bool:
    return connection.execute("SELECT 1 FROM kvs WHERE key = %s", [_MARK]).fetchone() is not None


def _rewrite(connection: psycopg.Connection[Any], slugs: list[str]) -> int:
    if not slugs:
        return 0
    # A key is a known slug, not the tail of a longer one, a bar and an id, wherever it stands in a text.
    key = f"(?<![a-z0-9-])({'|'.join(slugs)})[|](?=[A-Za-z0-9_-])"
    changed = 0
    for table, columns in _COLUMNS.items():
        sets = ", ".join(f"{c} = regexp_replace({c}, %(key)s, %(new)s, 'g')" for c in columns)
        where = " OR ".join(f"{c} LIKE '%%|%%' AND {c} ~ %(key)s" for c in columns)
        values = {"key": key, "new": rf"\1{SEPARATOR}"}
        changed += connection.execute(f"UPDATE {table} SET {sets} WHERE {where}", values).rowcount
    return changed
