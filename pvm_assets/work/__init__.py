"""What worker processes compute, one item at a time: files in, files and plain records out.

No Dagster and no database here, so that a worker starts in a fraction of a second.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def given(value: T) -> T:
    """The set-up of workers that need nothing made: `functools.partial(given, value)` makes `value`."""
    return value
