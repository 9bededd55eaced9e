"""Databases for tests: copies of one migrated template, emptied between tests instead of made anew.

A copy of the template costs the server 0.13 s of processor time with its removal, more than most tests; to
empty one costs a tenth of that. A test that changed the schema, or the row that names it, spoils its copy.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
from collections.abc import Iterator

import psycopg
from psycopg import sql

from pvm_resources.postgres import migrate
from pvm_resources.postgres.server import EmbeddedServer

#: Deleted rows stay in the files until a vacuum, so a copy is not used for ever.
_USES = 30

#: Notes every change of the schema; tables of a session, in which rows are staged, are none.
_WATCH = """
CREATE SCHEMA suite;
CREATE TABLE suite.changes (command text);
CREATE FUNCTION suite.note_change() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN
    INSERT INTO suite.changes SELECT command_tag FROM pg_event_trigger_ddl_commands()
    WHERE schema_name IS DISTINCT FROM 'pg_temp';
END$$;
CREATE FUNCTION suite.note_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN
    INSERT INTO suite.changes SELECT tg_tag FROM pg_event_trigger_dropped_objects() WHERE NOT is_temporary;
END$$;
"""
_TRIGGERS = """
CREATE EVENT TRIGGER suite_change ON ddl_command_end EXECUTE FUNCTION suite.note_change();
CREATE EVENT TRIGGER suite_drop ON sql_drop EXECUTE FUNCTION suite.note_drop();
"""


def template(server: EmbeddedServer) -> str:
    """Name of a database with the newest schema and in it ``suite.emptied()``; the first worker makes it."""
    name = "template_tests"
    with (server.home / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
            if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
                connection.execute(f"DROP DATABASE IF EXISTS {name}_unfinished")
                connection.execute(f"CREATE DATABASE {name}_unfinished")
                _set_up(server.uri(f"{name}_unfinished"))
                connection.execute(f"ALTER DATABASE {name}_unfinished RENAME TO {name}")
    return name


def _set_up(url: str) -> None:
    revision = migrate.upgrade(url)
    with psycopg.connect(url) as connection:
        connection.execute(_WATCH)
        connection.execute(_emptying(connection, revision))
        connection.execute(_TRIGGERS)


def _emptying(connection: psycopg.Connection, revision: str) -> sql.Composed:
    """A function that deletes all rows and returns true, or false where the schema is not as it was."""
    relations = connection.execute(
        "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "AND relkind IN ('r', 'S') AND relname <> 'alembic_version' ORDER BY 1"
    ).fetchall()
    delete = sql.SQL("IF EXISTS (SELECT FROM {0}) THEN DELETE FROM {0}; END IF;")
    restart = sql.SQL("IF (SELECT is_called FROM {0}) THEN PERFORM setval({1}, 1, false); END IF;")
    steps = [
        (delete if kind == "r" else restart).format(sql.Identifier(name), sql.Literal(name))
        for name, kind in relations
    ]
    return sql.SQL(
        "CREATE FUNCTION suite.emptied() RETURNS boolean LANGUAGE plpgsql AS $body$ BEGIN "
        "IF EXISTS (SELECT FROM suite.changes) OR (SELECT version_num FROM alembic_version) <> {} "
        "THEN RETURN false; END IF; "
        # Triggers and foreign keys have nothing to say about tables that all become empty.
        "SET LOCAL session_replication_role = replica; {} RETURN true; END $body$"
    ).format(sql.Literal(revision), sql.SQL(" ").join(steps))


class Databases:
    """Hands out databases with the newest schema and no rows.

    Args:
        server: where they live.
        template: name of a database that `template` made.
    """

    def __init__(self, server: EmbeddedServer, template: str) -> None:
        self._server = server
        self._template = template
        self._numbers = itertools.count()
        self._free: list[tuple[str, int]] = []

    @contextlib.contextmanager
    def one(self) -> Iterator[str]:
        """The URL of a database nobody else has; at the end its connections are cut."""
        name, uses = self._free.pop() if self._free else (self._made(), 1)
        try:
            yield self._server.uri(name)
        finally:
            if uses < _USES and self._emptied(name):
                self._free.append((name, uses + 1))
            else:
                self._drop(name)

    def close(self) -> None:
        """Drops those that are free."""
        while self._free:
            self._drop(self._free.pop()[0])

    def _made(self) -> str:
        name = f"t_{os.getpid()}_{next(self._numbers)}"
        with psycopg.connect(self._server.uri("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {self._template} STRATEGY file_copy")
        return name

    def _drop(self, name: str) -> None:
        with psycopg.connect(self._server.uri("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _emptied(self, name: str) -> bool:
        try:
            with psycopg.connect(self._server.uri(name)) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                found = connection.execute("SELECT suite.emptied()").fetchone()
        except psycopg.Error:
            return False
        return bool(found and found[0])
