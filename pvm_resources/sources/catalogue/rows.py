"""A row of a catalogue, whatever the catalogue's form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        line: line of the file it begins on, from 1.
        values: cell by column name (lower case, blanks as underscores, Google's names as ours), stripped of
            blanks around it.
        fault: why the row cannot be used; "" where it can.
        more: pictures beside the row's own, as given; one past `limits.MAX_MORE` stands for all beyond.
    """

    line: int
    values: Mapping[str, str]
    fault: str = ""
    more: tuple[str, ...] = ()
