"""What the repositories share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

from psycopg.types.json import Jsonb

from pvm_resources.postgres.driver import Database, Statement
from pvm_resources.postgres.text import clean as clean
from pvm_resources.store import job_changes

T = TypeVar("T")
_TWO64: Final = 1 << 64


class Repository:
    """Rows of one part of the schema.

    Args:
        database: where they live.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        database.on_events(job_changes.emit)

    def _execute(self, query: str, *params: Any) -> int:
        """Commits one statement; returns rows changed."""
        return self._db.commit(Statement(query, params))[0]


def signed(value: int | None) -> int | None:
    """A 64-bit hash as PostgreSQL's bigint holds it."""
    return value - _TWO64 if value is not None and value >= _TWO64 >> 1 else value


def unsigned(value: int | None) -> int | None:
    """A bigint as the 64-bit hash it holds."""
    return value + _TWO64 if value is not None and value < 0 else value


def json(value: Any) -> Jsonb:
    """`value` for a jsonb column."""
    return Jsonb(value)


def chunks(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Slices of up to `size`."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
