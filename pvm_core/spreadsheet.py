"""Cells of the tables we write: text stays text when a spreadsheet opens them."""

from __future__ import annotations

import re
from typing import Any, Final

#: A cell with one of these first is read as a formula (OWASP, "CSV Injection"); their full-width forms are
#: so in spreadsheets of East Asian languages. Apostrophes before them are counted, so that `unguarded` can
#: tell ours from the text's own.
_FORMULA: Final = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
#: Numbers are harmless and stay as they are.
_NUMBER: Final = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")


def guarded(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula with an apostrophe before it; all else as it is.

    Numbers stay, as numbers and as text (``-0.5``). `unguarded` gives the text back.
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def unguarded(text: str) -> str:
    """The text of a cell that `guarded` wrote."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
