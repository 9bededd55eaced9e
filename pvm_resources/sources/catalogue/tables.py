"""Rows of a user's table: CSV in any usual dialect, or JSON Lines; every fault with its line."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

from pvm_core.errors import InputError
from pvm_core.file_type import describe
from pvm_resources.sources.catalogue import limits
from pvm_resources.sources.catalogue.content import Content
from pvm_resources.sources.catalogue.product_feed import feed_rows
from pvm_resources.sources.catalogue.rows import Row

#: Separators a spreadsheet may export with, in order of preference where a header holds only one column.
_DELIMITERS: Final = (",", ";", "\t", "|")
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: Column names of Google's product data (spreadsheets and text feeds), and ours.
_ALIASES: Final = {
    "id": "product_id",
    "image_link": "image",
    "link": "url",
    "additional_image_links": "additional_image_link",
}
_MORE: Final = "additional_image_link"
#: A row's lines end as in RFC 4180, or at a lone carriage return (Excel for Mac). Other marks that
#: `str.splitlines` splits at belong to a title.
_LINE: Final = re.compile(r"[^\r\n]*+(?:\r\n?|\n)|[^\r\n]++")
#: Characters in which the header is looked for.
_HEAD: Final = 1_000_000
#: Rows with unmatched quotation marks after which the file is given up: each costs a pass over one cell.
_MAX_FAULTS: Final = 100
_AS_UTF8: Final = "Save the file as CSV UTF-8 (in Excel: File, Save As, CSV UTF-8)"


def read_rows(content: Content, required: tuple[str, ...]) -> Iterator[Row]:
    """Rows of a CSV, JSON Lines or product feed XML, in order; blank rows are passed over.

    The content decides which it is: a first character ``{`` means JSON Lines, ``<`` XML.

    Args:
        content: the bytes.
        required: columns without which the table means nothing.

    Raises:
        InputError: ``table.empty``, ``table.type``, ``table.encoding``, ``table.columns``,
            ``table.limits``, ``table.syntax``, ``table.unsafe``, and what reading `content` raises.
    """
    if _is_feed(content.head()):
        yield from feed_rows(content)
        return
    text = _decoded(content.subject, content.whole())
    if text.lstrip()[:1] == "{":
        yield from _json_rows(content.subject, text, required)
    else:
        yield from _csv_rows(content.subject, text, required)


def _is_feed(head: bytes) -> bool:
    """XML of some kind; pages and drawings are refused by their own names."""
    text = head.decode(_encoding(head) or "utf-8", "ignore")
    if text.lstrip("\ufeff \t\r\n")[:1] != "<":
        return False
    return describe(text.encode("utf-8", "ignore")).name in ("an XML document", "markup text")


def _decoded(subject: str, data: bytes) -> str:
    if not data.strip(b"\x00 \t\r\n\xef\xbb\xbf\xff\xfe"):
        raise InputError("table.empty", subject, "the file has no rows", "Export the catalogue again")
    encoding = _encoding(data)
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        kind = describe(data)
        if kind.kind != "other" or kind.name.startswith("a "):
            raise _wrong_type(subject, kind.name) from error
        line = data.count(b"\n", 0, error.start) + 1
        reason = f"line {line} is not {encoding or 'UTF-8'} text (byte {error.start})"
        raise InputError("table.encoding", subject, reason, _AS_UTF8) from error
    first = text.lstrip("\ufeff \t\r\n")[:1]
    if first in ("<", "["):
        raise _wrong_type(subject, "a JSON array" if first == "[" else describe(data).name)
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise InputError("table.encoding", subject, f"line {line} holds a zero byte", _AS_UTF8)
    return text


def _wrong_type(subject: str, what: str) -> InputError:
    remedy = "Export it as CSV, as JSON Lines (one object a line) or as a product feed"
    return InputError("table.type", subject, f"the content is {what}", remedy)


def _encoding(data: bytes) -> str:
    return next((name for bom, name in _BOMS if data.startswith(bom)), "") or _utf16_by_zeros(data)


def _utf16_by_zeros(data: bytes) -> str:
    """UTF-16 without a mark, recognised by ASCII's zero bytes on one side."""
    head = data[:200]
    if len(head) < 4 or len(head) % 2:
        head = head[: len(head) // 2 * 2]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = max(1, len(head) // 2)
    if odd > 0.8 * half and not even:
        return "utf-16-le"
    return "utf-16-be" if even > 0.8 * half and not odd else ""


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


def _csv_rows(subject: str, text: str, required: tuple[str, ...]) -> Iterator[Row]:
    csv.field_size_limit(limits.MAX_CELL)
    counted = limits.Counted(subject)
    line, start, delimiter = _dialect(text, required)
    header: list[str] | None = None
    faults = 0
    while start < len(text):
        lines = _Lines(text, start)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        first = begin = line
        try:
            for cells in reader:
                row, begin, start = begin + 1, first + lines.count, lines.end
                counted.row(len(cells))
                if not any(map(str.strip, cells)):
                    continue
                if header is None:
                    header = _header(subject, cells, required)
                else:
                    yield _csv_row(row, header, cells)
            return
        except csv.Error as error:
            # A stray quotation mark swallows what follows; reading goes on at the next line.
            line, faults = begin + 1, faults + 1
            start = _next_line(text, start)
            if header is None or faults > _MAX_FAULTS:
                raise _bad_syntax(subject, line, error) from error
            counted.row()
            yield Row(line, {}, f"its quotation marks do not match ({error})")


def _next_line(text: str, start: int) -> int:
    found = _LINE.match(text, start)
    return found.end() if found else len(text)


def _bad_syntax(subject: str, line: int, error: csv.Error) -> InputError:
    reason = f"the row that begins on line {line} cannot be read ({error})"
    return InputError("table.syntax", subject, reason, "Check the quotation marks and export it again")


def _csv_row(line: int, header: list[str], cells: list[str]) -> Row:
    if any(cell.strip() for cell in cells[len(header) :]):
        return Row(
            line, {}, f"{len(cells)} cells under {len(header)} columns; put cells with commas in quotes"
        )
    values = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if name}
    more = _listed(values.pop(_MORE, ""))
    return Row(line, values, more=more)


def _listed(cell: str) -> tuple[str, ...]:
    """Pictures that stand in one cell, separated by commas; a comma may stand inside an address, but not
    before one."""
    parts = [part.strip() for part in cell.split(",")]
    if "://" in cell:
        parts = _rejoined(cell.split(","))
    return tuple(one for one in parts if one)[: limits.MAX_MORE + 1]


def _rejoined(parts: Sequence[str]) -> list[str]:
    """Parts of a list of addresses, those that begin none joined to the one before."""
    found: list[list[str]] = []
    for part in parts:
        if not found or part.lstrip().lower().startswith(("http://", "https://")):
            found.append([])
        found[-1].append(part)
    return [",".join(one).strip(" ,\t\r\n") for one in found]


def _column(name: str) -> str:
    plain = name.replace("﻿", "").strip().lower().removeprefix("g:")
    return "_".join(plain.replace("-", " ").split())


def _columns(names: Sequence[str]) -> list[str]:
    """The columns' names, Google's turned into ours where ours is not there already."""
    given = [_column(name) for name in names]
    known = frozenset(given)
    return [ours if (ours := _ALIASES.get(name)) and ours not in known else name for name in given]


def _dialect(text: str, required: tuple[str, ...]) -> tuple[int, int, str]:
    """Index of the line the header is on and where it begins, and the separator under which it has all
    required columns."""
    at = start = 0
    first = ""
    for at, match in enumerate(_LINE.finditer(text, 0, _HEAD)):  # noqa: B007 - counts lines
        start, first = match.start(), match.group().strip("\ufeff\r\n")
        if first.strip():
            break
    if first.lower().startswith("sep=") and len(first) == 5:
        # Excel's own note of the separator, above the header.
        return at + 1, _next_line(text, start), first[4]
    for delimiter in _DELIMITERS:
        columns = _columns(next(csv.reader([first], delimiter=delimiter), []))
        if set(columns).issuperset(required):
            return at, start, delimiter
    return at, start, max(_DELIMITERS, key=first.count)


def _header(subject: str, cells: list[str], required: tuple[str, ...]) -> list[str]:
    if len(cells) > limits.MAX_COLUMNS:
        raise limits.over(subject, "columns", limits.MAX_COLUMNS, len(cells))
    header = _columns(cells)
    missing = [name for name in required if name not in header]
    if missing:
        found = ", ".join(name for cell in cells if (name := _column(cell)))[:200] or "none"
        raise InputError(
            "table.columns",
            subject,
            f"no column {' and no column '.join(missing)} in its first row (found: {found})",
            f"Name the columns in the first row; needed are {', '.join(required)}",
        )
    for name in required:
        if header.count(name) > 1:
            reason = f"the column {name} stands in its first row more than once"
            raise InputError("table.columns", subject, reason, "Rename or remove one of them")
    return header


def _json_rows(subject: str, text: str, required: tuple[str, ...]) -> Iterator[Row]:
    counted = limits.Counted(subject)
    for number, line in enumerate(_split(text), start=1):
        content = line.strip().removeprefix("﻿")
        if not content:
            continue
        counted.row()
        if len(content) > limits.MAX_RECORD:
            yield Row(number, {}, f"a JSON object of more than {limits.MAX_RECORD:,} characters")
            continue
        try:
            record = json.loads(content)
        except (ValueError, RecursionError) as error:
            detail = getattr(error, "msg", "nested too deeply")
            yield Row(number, {}, f"not a JSON object ({detail})")
            continue
        if isinstance(record, dict):
            yield _json_row(number, record, required)
        else:
            yield Row(number, {}, f"a JSON {type(record).__name__}, not an object")


def _split(text: str) -> Iterator[str]:
    """The lines of a text, one at a time; only a line feed ends one."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + 1


def _json_row(line: int, record: dict[str, object], required: tuple[str, ...]) -> Row:
    if len(record) > limits.MAX_COLUMNS:
        return Row(line, {}, f"{len(record):,} names, more than the {limits.MAX_COLUMNS:,} allowed")
    values: dict[str, str] = {}
    more: tuple[str, ...] = ()
    for column, value in zip(_columns(list(record)), record.values(), strict=True):
        if column == _MORE and isinstance(value, list):
            more = tuple(str(one).strip() for one in value[: limits.MAX_MORE + 1])
        elif isinstance(value, (bool, dict, list)):
            if column in required:
                return Row(line, {}, f"its {column} is a {type(value).__name__}; write one row a picture")
        else:
            values[column] = "" if value is None else str(value).strip()
    more = more or _listed(values.pop(_MORE, ""))
    return Row(line, values, more=more)
