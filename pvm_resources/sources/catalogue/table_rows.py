"""From the cells of a table to rows of a catalogue: the header is found, hints below it are passed over."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pvm_core.errors import InputError
from pvm_resources.sources.catalogue import columns as meaning
from pvm_resources.sources.catalogue import limits
from pvm_resources.sources.catalogue.cells import named_values, picture_list
from pvm_resources.sources.catalogue.columns import Columns
from pvm_resources.sources.catalogue.rows import Row

#: Rows in which the header is looked for: exports put a title, a date or a template's own rows above it.
HEAD: Final = 20
#: Rows below the header that may hold hints.
_HINTS: Final = 6


@dataclass(frozen=True)
class Cells:
    """One row of a table before its header is known.

    Attributes:
        line: where it begins, from 1.
        fault: why it cannot be read; "" where it can.
    """

    line: int
    cells: Sequence[str]
    fault: str = ""

    @property
    def blank(self) -> bool:
        """Whether no cell holds anything."""
        return not self.fault and not any(map(str.strip, self.cells))


def find_header(head: Sequence[Cells], given: Mapping[str, str] | None = None) -> tuple[int, Columns] | None:
    """The place of the header among the first rows, and what its columns mean.

    It is the first row that names id and picture; where none does, the one that names most of a product.

    Raises:
        InputError: ``table.columns``: a column that the user named is in none of these rows.
    """
    best: tuple[int, Columns] | None = None
    error: InputError | None = None
    for place, row in enumerate(head):
        if row.blank or row.fault:
            continue
        try:
            columns = meaning.columns_of(row.cells, given)
        except InputError as missing:
            error = error or missing
            continue
        if columns.usable:
            return place, columns
        if best is None or columns.recognised > best[1].recognised:
            best = place, columns
    if best is None and error is not None:
        raise error
    return best


def table_rows(subject: str, found: Iterable[Cells], given: Mapping[str, str] | None = None) -> Iterator[Row]:
    """The products' rows of a table; blank rows are passed over.

    Args:
        found: all rows, from the first line that may be the header.
        given: columns that the user named, by field.

    Raises:
        InputError: ``table.columns``, ``table.limits``.
    """
    rows = iter(found)
    head = list(itertools.islice(rows, HEAD))
    header = find_header(head, given)
    if header is None:
        meaning.check(subject, Columns((), None, (), {}))
        return
    place, columns = header
    meaning.check(subject, columns)
    counted = limits.Counted(subject)
    for number, row in enumerate(itertools.chain(head[place + 1 :], rows)):
        counted.row(len(row.cells))
        if row.blank or (number < _HINTS and not row.fault and columns.is_hint(row.cells)):
            continue
        yield _row(columns, row)


def _first(cells: Sequence[str], places: Sequence[int]) -> str:
    return next((cells[place] for place in places if place < len(cells) and cells[place].strip()), "")


def _row(columns: Columns, row: Cells) -> Row:
    cells = row.cells
    if row.fault:
        return Row(row.line, {}, row.fault)
    width = len(columns.names)
    if len(cells) > width and any(map(str.strip, cells[width:])):
        reason = f"{len(cells)} cells under {width} columns; put cells with commas in quotes"
        return Row(row.line, {}, reason)
    have = len(cells)
    values = {field: _first(cells, places) for field, places in columns.texts.items()}
    values["product_id"] = _first(cells, columns.ids)
    images: list[str] = []
    if columns.image is not None and columns.image < have:
        images += picture_list(cells[columns.image])
    for place in columns.more:
        if place < have and cells[place]:
            images += picture_list(cells[place], listed=True)
    also = cells[columns.also].strip() if columns.also is not None and columns.also < have else ""
    relation = cells[columns.relation] if columns.relation is not None and columns.relation < have else ""
    varies = relation.strip().lower().startswith("variation")
    return Row(row.line, values, "", tuple(images), also, varies, _attributes(columns, cells))


def _attributes(columns: Columns, cells: Sequence[str]) -> dict[str, str]:
    have = len(cells)
    found: dict[str, str] = {}
    for name, place in columns.attributes:
        if place < have and (value := cells[place].strip()):
            found |= {name: value} if name else named_values(value)
    for naming, valued in columns.pairs:
        name = cells[naming].strip() if max(naming, valued) < have else ""
        # Shopify names the only option of a product without options "Title".
        if name not in ("", "Title") and cells[valued].strip():
            found[name] = cells[valued]
    return found
