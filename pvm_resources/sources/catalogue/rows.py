"""A row of a catalogue, whatever the catalogue's form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        line: line of the file it begins on, row of a sheet or number of an item, from 1.
        values: cell by field (`pvm_jobs.catalogue_columns.FIELDS`), as given.
        fault: why the row cannot be used; "" where it can.
        images: pictures in the gallery's order, as given; some past `limits.MAX_MORE` stand for all beyond.
        also: a second id by which other rows name this one as their parent; "" for none.
        variation: it is a variation of the row before that is none.
        attributes: properties of the product by name, as given.
    """

    line: int
    values: Mapping[str, str]
    fault: str = ""
    images: tuple[str, ...] = ()
    also: str = ""
    variation: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
