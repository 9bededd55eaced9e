"""Rows of a spreadsheet: XLSX, XLSM, XLSB, XLS and ODS, read by python-calamine in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from pvm_core.errors import InputError
from pvm_resources.sources.catalogue import limits, workbook_reader
from pvm_resources.sources.catalogue.cells import number_cell
from pvm_resources.sources.catalogue.rows import Row
from pvm_resources.sources.catalogue.table_rows import HEAD, Cells, find_header, table_rows

#: Bytes of a workbook; the rows of one that holds 500,000 take about 60 MB.
_MAX_BYTES: Final = 200_000_000
#: The process computes for two minutes at most; a busy machine takes longer.
_WAIT_S: Final = 600.0
_ZIP: Final = b"PK\x03\x04"
#: OLE2, in which XLS files are.
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
#: Parts that only spreadsheets have; a ZIP archive names its parts in its end.
_PARTS: Final = (b"xl/workbook", b"xl/worksheets", b"application/vnd.oasis.opendocument.spreadsheet")
_AS_CSV: Final = "Save the sheet as CSV UTF-8"


def is_workbook(data: bytes) -> bool:
    """Whether the bytes are a spreadsheet's."""
    if data.startswith(_OLE):
        return True
    return data.startswith(_ZIP) and any(part in data[:4_096] or part in data[-65_536:] for part in _PARTS)


def workbook_rows(subject: str, data: bytes, given: Mapping[str, str]) -> Iterator[Row]:
    """The rows of the first sheet that has the columns of a catalogue.

    Args:
        given: columns that the user named, by field.

    Raises:
        InputError: ``table.unreadable``: it is damaged, encrypted or no spreadsheet; ``table.limits``: it
            takes more memory or time than a catalogue may; ``table.empty``; ``table.columns``.
    """
    if len(data) > _MAX_BYTES:
        raise limits.over(subject, "bytes of a workbook", _MAX_BYTES, len(data))
    with tempfile.TemporaryFile() as written:
        _read(subject, data, written)
        written.seek(0)
        start, name = _sheet(written, given)
        if start is None:
            raise InputError("table.empty", subject, "its sheets have no rows", "Export the catalogue again")
        written.seek(start)
        yield from table_rows(f"{subject}, sheet {name}" if name else subject, _cells(written), given)


def _read(subject: str, data: bytes, written: IO[bytes]) -> None:
    script = Path(workbook_reader.__file__)
    command = [sys.executable, "-I", str(script)]
    try:
        done = subprocess.run(
            command, input=data, stdout=written, stderr=subprocess.DEVNULL, timeout=_WAIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _beyond(subject) from error
    if done.returncode:
        raise _beyond(subject)
    if (fault := _fault(written)) is not None:
        raise InputError("table.unreadable", subject, f"it cannot be read ({fault})", _AS_CSV)


def _beyond(subject: str) -> InputError:
    reason = (
        f"reading it takes more than {workbook_reader.MEMORY / 1e9:.0f} GB of memory or "
        f"{workbook_reader.SECONDS} s: a cell far from the others makes a sheet as large"
    )
    return InputError("table.limits", subject, reason, _AS_CSV)


def _fault(written: IO[bytes]) -> str | None:
    """What the process said in place of rows."""
    written.seek(0, 2)
    end = written.tell()
    written.seek(max(0, end - 2_000))
    last = written.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
    if not last.startswith(b'{"error"'):
        return None
    return str(json.loads(last)["error"])


def _sheet(written: IO[bytes], given: Mapping[str, str]) -> tuple[int | None, str]:
    """Where the rows of the first usable sheet begin, else of the one that names most of a product; and its
    name, where several have rows."""
    found = [sheet for sheet in _sheets(written) if sheet.head]
    if not found:
        return None, ""
    best = max(found, key=lambda sheet: sheet.score(given))
    return best.start, best.name if len(found) > 1 else ""


@dataclass
class _Sheet:
    """The first rows of a sheet, and where they begin in what was written."""

    name: str
    start: int
    head: list[Cells] = field(default_factory=list)

    def score(self, given: Mapping[str, str]) -> tuple[bool, int]:
        try:
            header = find_header(self.head, given)
        except InputError:
            header = None
        return (False, 0) if header is None else (header[1].usable, header[1].recognised)


def _sheets(written: IO[bytes]) -> list[_Sheet]:
    found: list[_Sheet] = []
    place = 0
    for line in written:
        place += len(line)
        if line.startswith(b"{"):
            found.append(_Sheet(str(json.loads(line)["sheet"]), place))
        elif len(found[-1].head) < HEAD and len(line) > 3:
            found[-1].head.append(Cells(0, _texts(json.loads(line))))
    return found


def _cells(written: IO[bytes]) -> Iterator[Cells]:
    for number, line in enumerate(written, start=1):
        if line.startswith(b"{"):
            return
        cells = _texts(json.loads(line))
        if len(line) > limits.MAX_CELL and any(len(cell) > limits.MAX_CELL for cell in cells):
            yield Cells(number, (), f"a cell of more than {limits.MAX_CELL:,} characters")
        else:
            yield Cells(number, cells)


def _texts(row: list[Any]) -> list[str]:
    return [value if isinstance(value, str) else _number(value) for value in row]


def _number(value: float) -> str:
    return number_cell(float(value)) if isinstance(value, float) else str(value)
