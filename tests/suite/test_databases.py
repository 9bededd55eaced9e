"""Databases handed to tests: empty again after rows, made anew after a changed schema."""

from __future__ import annotations

import psycopg
import pytest

from pvm_resources.postgres.driver import Database
from pvm_resources.store.assembly import Store
from tests.databases import Databases


def _name(url: str) -> str:
    with psycopg.connect(url) as connection:
        return connection.info.dbname


def test_rows_numbers_and_connections_are_gone_and_the_database_is_used_again(databases: Databases) -> None:
    with databases.one() as url, Database(url) as database:
        first = _name(url)
        repos = Store.over(database)
        repos.jobs.create(repos.industries.ensure("pillow").slug, {}, "j1")
        left = psycopg.connect(url)
    with databases.one() as url, Database(url) as database:
        assert _name(url) == first
        assert list(database.tuples("SELECT FROM jobs")) == []
        assert list(database.tuples("SELECT FROM industries")) == []
        used = "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL"
        assert list(database.tuples(used)) == []
    with pytest.raises(psycopg.OperationalError):
        left.execute("SELECT 1")


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE more (n int)",
        "ALTER TABLE jobs ADD COLUMN more int",
        "DROP TABLE alembic_version",
        "UPDATE alembic_version SET version_num = '9999'",
    ],
)
def test_a_database_whose_schema_was_changed_is_not_used_again(databases: Databases, change: str) -> None:
    with databases.one() as url, psycopg.connect(url) as connection:
        first = _name(url)
        connection.execute(change)
        connection.commit()
    with databases.one() as url:
        assert _name(url) != first


def test_tables_of_a_session_spoil_nothing(databases: Databases) -> None:
    with databases.one() as url, psycopg.connect(url) as connection:
        first = _name(url)
        connection.execute("CREATE TEMP TABLE stage (n int) ON COMMIT DROP")
        connection.commit()
        connection.execute("CREATE TEMP TABLE stage (n int)")
        connection.execute("DROP TABLE stage")
        connection.commit()
    with databases.one() as url:
        assert _name(url) == first
