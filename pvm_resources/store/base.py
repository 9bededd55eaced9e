"""What the repositories share."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from operator import attrgetter
from types import NoneType
from typing import Any, Final, get_args, get_type_hints

import psycopg
from psycopg.types.json import Jsonb

from pvm_jobs.text import clean
from pvm_resources.postgres.driver import Database, Statement

Cursor = psycopg.Cursor[tuple[Any, ...]]
#: What wraps a value for a jsonb column.
json = Jsonb
_TWO64: Final = 1 << 64
_SQL_TYPES: Final = {
    uuid.UUID: "uuid", int: "int4", float: "float8", bool: "bool", datetime: "timestamptz"
}  # fmt: skip


class Repository:
    """Rows of one part of the schema.

    Args:
        database: where they live.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    def now(self) -> datetime:
        """The database's clock, which also stamps what is stored."""
        found: datetime = self._db.value("SELECT now()")
        return found

    def _execute(self, query: str, *params: Any, **named: Any) -> int:
        """Commits one statement with its parameters; returns rows changed."""
        return self._db.commit(Statement(query, named or params))[0]


def columns(record: type, *, without: Collection[str] = (), **types: str) -> dict[str, str]:
    """The fields of a record in order, each with its SQL type: `types` where named there, else what suits
    its Python type, text for a choice of words."""
    hints = get_type_hints(record)
    return {
        name: types.get(name) or _sql_type(hints[name])
        for name in (field.name for field in fields(record))
        if name not in without
    }


def _sql_type(hint: Any) -> str:
    plain = [one for one in get_args(hint) if one is not NoneType] if NoneType in get_args(hint) else [hint]
    return _SQL_TYPES.get(plain[0], "text")


def listed(names: Iterable[str] | type, table: str = "") -> str:
    """Column names, or the fields of a record, for a SELECT; with `table` qualified by it."""
    found = [field.name for field in fields(names)] if isinstance(names, type) else names
    return ", ".join(f"{table}.{name}" if table else name for name in found)


def rows(
    records: Iterable[Any], names: Iterable[str], *before: Any, **convert: Callable[[Any], Any]
) -> Iterator[tuple[Any, ...]]:
    """The values of `records` under `names`, each row after the values `before`.

    Args:
        convert: column -> what makes its stored value from the record's.
    """
    columns = tuple(names)
    changed = [(columns.index(name), change) for name, change in convert.items() if name in columns]
    # One name alone would not give a tuple.
    values_of = attrgetter(columns[0], *columns)
    for record in records:
        values = [*before, *values_of(record)[1:]]
        for place, change in changed:
            values[len(before) + place] = change(values[len(before) + place])
        yield tuple(values)


def insert(table: str, values: Mapping[str, Any], conflict: str = "") -> Statement:
    """The INSERT of one row; `conflict` follows its values."""
    slots = ", ".join(["%s"] * len(values))
    return Statement(
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({slots}) {conflict}", [*values.values()]
    )


def signed(value: int | None) -> int | None:
    """A 64-bit hash as PostgreSQL's bigint holds it."""
    return value - _TWO64 if value is not None and value >= _TWO64 >> 1 else value


def unsigned(value: int | None) -> int | None:
    """A bigint as the 64-bit hash it holds."""
    return value + _TWO64 if value is not None and value < 0 else value


__all__ = [
    "Cursor", "Repository", "clean", "columns", "insert", "json", "listed", "rows", "signed", "unsigned",
]  # fmt: skip
