"""What a catalogue may hold at most: beyond it the reader refuses, or cuts and says so.

The measure is the largest catalogue of one job that shops' exports give (100,000 rows, 200 columns, 250
pictures of a product), with room above; what is refused is made to exhaust a reader.
"""

from __future__ import annotations

from typing import Final

from pvm_core.errors import InputError

#: Past this, unpacked, it is no catalogue of one job.
MAX_BYTES: Final = 500_000_000
#: What a packed file may become in all.
MAX_UNPACKED: Final = 200_000_000
#: Product data packs ten to thirty to one, and a bomb a thousand to one.
MAX_RATIO: Final = 100
#: Unpacked bytes to which the ratio does not apply: few rows that are much alike.
RATIO_FREE: Final = 1_000_000
#: Rows, items or objects, usable or not.
MAX_ROWS: Final = 500_000
#: Amazon's flat files have the most columns of all exports, up to about a thousand.
MAX_COLUMNS: Final = 5_000
#: Cells in all: 100,000 rows of 200 columns are 20 million.
MAX_CELLS: Final = 60_000_000
#: Characters of a cell or of a feed's element; a spreadsheet's cell holds 32,767, a description in HTML more.
MAX_CELL: Final = 1_000_000
#: Characters of one JSON object; a product of Shopify with 2,048 variants has about two million.
MAX_RECORD: Final = 5_000_000
#: Pictures beside the first that one row may name: Shopify's own limit is 250 of a product.
MAX_MORE: Final = 250
#: Folders in a path to a picture.
MAX_FOLDERS: Final = 64
#: Problems that are named one by one; what is beyond is counted.
MAX_PROBLEMS: Final = 1_000


class Counted:
    """Rows and cells met so far.

    Args:
        subject: the table as its user knows it.
    """

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._rows = 0
        self._cells = 0

    def row(self, cells: int = 1) -> None:
        """Counts one row.

        Raises:
            InputError: ``table.limits``.
        """
        self._rows += 1
        self._cells += cells
        if self._rows > MAX_ROWS:
            raise over(self._subject, "rows", MAX_ROWS)
        if self._cells > MAX_CELLS:
            raise over(self._subject, "cells", MAX_CELLS)


def over(subject: str, what: str, limit: int, found: int | None = None) -> InputError:
    """The error of a table with too many of something; `found` where their number is known."""
    many = f"it has {found:,} {what}, more than" if found is not None else f"it has more {what} than"
    return InputError(
        "table.limits", subject, f"{many} the {limit:,} allowed", "Split it and run a job for each part"
    )
