"""What worker processes compute, one item at a time: files in, files and plain records out.

No Dagster here and no connection to the database: a worker starts in a fraction of a second.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def given(value: T) -> T:
    """`value`: the set-up of workers whose state is ready-made, as `functools.partial(given, value)`."""
    return value
