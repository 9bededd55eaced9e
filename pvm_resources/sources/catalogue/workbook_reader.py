"""Run as a process of its own: a spreadsheet on standard input, its rows as JSON lines on standard output.

calamine holds a sheet as a rectangle in memory, so two cells in opposite corners are 17 billion: this process
has limits on memory and time, and what exceeds them ends it, not the job. It imports nothing of this project.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import resource
import sys
from typing import Any

#: Address space, bytes; a sheet of 100,000 rows and 200 columns takes about a third of it.
MEMORY = 3_000_000_000
#: Seconds of computing.
SECONDS = 120
#: Bytes of rows written.
OUTPUT = 1_000_000_000
#: Characters of a cell; one more than a catalogue may have shows that there were more.
CELL = 1_000_001


def limit() -> None:
    """Sets the limits of this process."""
    for which, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, OUTPUT),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(which, (most, most))


def plain(value: Any) -> Any:
    """A cell as JSON: texts, numbers; dates in ISO 8601."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return value[:CELL]
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)


def main() -> None:
    """Writes ``{"sheet": name}`` before the rows of each sheet, or ``{"error": reason}``."""
    limit()
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetTypeEnum

    write = sys.stdout.write
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(sys.stdin.buffer.read()))
        for about in book.sheets_metadata:
            if about.typ != SheetTypeEnum.WorkSheet:
                continue
            write(json.dumps({"sheet": about.name}) + "\n")
            # Empty rows above the first cell are among them: messages name the row that a spreadsheet shows.
            for row in book.get_sheet_by_name(about.name).iter_rows():
                while row and row[-1] == "":
                    row.pop()
                write(json.dumps([plain(value) for value in row]) + "\n")
    except PasswordError:
        write(json.dumps({"error": "it is protected by a password"}) + "\n")
    except (CalamineError, OSError, ValueError, RuntimeError) as error:
        write(json.dumps({"error": str(error)[:300]}) + "\n")


if __name__ == "__main__":
    main()
