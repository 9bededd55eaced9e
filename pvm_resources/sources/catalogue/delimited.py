"""Rows of a delimited text in any usual dialect, CSV or TSV; every fault with its line."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Final

from pvm_core.errors import InputError
from pvm_resources.sources.catalogue import limits
from pvm_resources.sources.catalogue.rows import Row
from pvm_resources.sources.catalogue.table_rows import HEAD, Cells, find_header, table_rows

#: Separators a spreadsheet may export with, in order of preference where a header holds only one column.
_DELIMITERS: Final = (",", ";", "\t", "|")
#: A row's lines end as in RFC 4180, or at a lone carriage return (Excel for Mac). Other marks that
#: `str.splitlines` splits at belong to a title.
_LINE: Final = re.compile(r"[^\r\n]*+(?:\r\n?|\n)|[^\r\n]++")
#: Characters in which the header is looked for.
_HEAD: Final = 1_000_000
#: Rows with unmatched quotation marks after which the file is given up: each costs a pass over one cell.
_MAX_FAULTS: Final = 100
_BOM: Final = "\ufeff"


def delimited_rows(subject: str, text: str, given: Mapping[str, str]) -> Iterator[Row]:
    """The rows of a table.

    Args:
        given: columns that the user named, by field.

    Raises:
        InputError: ``table.columns``, ``table.limits``, ``table.syntax``.
    """
    csv.field_size_limit(limits.MAX_CELL)
    line, start, delimiter = _dialect(text, given)
    return table_rows(subject, _cells(subject, text, line, start, delimiter), given)


class _Lines:
    """The lines of a text from a place on; `end` is where the next one begins."""

    def __init__(self, text: str, start: int) -> None:
        self._found = _LINE.finditer(text, start)
        self.end = start
        self.count = 0

    def __iter__(self) -> Iterator[str]:
        for match in self._found:
            self.end = match.end()
            self.count += 1
            yield match.group()


def _cells(subject: str, text: str, line: int, start: int, delimiter: str) -> Iterator[Cells]:
    faults = met = 0
    while start < len(text):
        lines = _Lines(text, start)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        first = begin = line
        try:
            for cells in reader:
                row, begin, start = begin + 1, first + lines.count, lines.end
                met += 1
                yield Cells(row, cells)
            return
        except csv.Error as error:
            # A stray quotation mark swallows what follows; reading goes on at the next line.
            line, faults = begin + 1, faults + 1
            start = _next_line(text, start)
            if not met or faults > _MAX_FAULTS:
                raise _bad_syntax(subject, line, error) from error
            yield Cells(line, (), f"its quotation marks do not match ({error})")


def _next_line(text: str, start: int) -> int:
    found = _LINE.match(text, start)
    return found.end() if found else len(text)


def _bad_syntax(subject: str, line: int, error: csv.Error) -> InputError:
    reason = f"the row that begins on line {line} cannot be read ({error})"
    return InputError("table.syntax", subject, reason, "Check the quotation marks and export it again")


def _dialect(text: str, given: Mapping[str, str]) -> tuple[int, int, str]:
    """Index of the line that reading begins with and where it begins, and the separator: the one under which
    a row names id and picture, or most of a product."""
    at = start = 0
    first = ""
    for at, match in enumerate(_LINE.finditer(text, 0, _HEAD)):  # noqa: B007 - counts lines
        start, first = match.start(), match.group().strip(f"{_BOM}\r\n")
        if first.strip():
            break
    if first.lower().startswith("sep=") and len(first) == 5:
        # Excel's own note of the separator, above the header.
        return at + 1, _next_line(text, start), first[4]
    if text.startswith(_BOM, start):
        start += 1
    head = text[start : start + _HEAD]
    scores = {delimiter: _score(head, delimiter, given) for delimiter in _DELIMITERS}
    best = max(scores.values())
    if best == (0, 0):
        return at, start, max(_DELIMITERS, key=first.count)
    return at, start, next(delimiter for delimiter, score in scores.items() if score == best)


def _score(head: str, delimiter: str, given: Mapping[str, str]) -> tuple[int, int]:
    rows: list[Cells] = []
    reader = csv.reader(_Lines(head, 0), delimiter=delimiter)
    # What was read before a broken row may hold the header.
    with suppress(csv.Error):
        rows += (Cells(n, cells) for n, cells in enumerate(islice(reader, HEAD)) if len(cells) > 1)
    try:
        header = find_header(rows, given)
    except InputError:
        return (0, 0)
    return (0, 0) if header is None else (int(header[1].usable), header[1].recognised)
