"""Results as an XLSX workbook: one sheet, texts as texts, numbers as numbers, addresses as links."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pvm_cli.lines import ResultLine, rounded
from pvm_core.errors import InputError
from pvm_core.links import web

if TYPE_CHECKING:
    from xlsxwriter.worksheet import Worksheet

#: Columns as a buyer reads them, and their widths in characters.
_COLUMNS: Final = {
    "title": 44, "brand": 16, "price": 10, "currency": 9, "product_url": 34, "video_title": 36,
    "video_url": 40, "ts": 8, "score": 8, "status": 11, "verdict": 9, "platform": 10, "channel": 20,
    "published": 22, "review_url": 30, "evidence_url": 30, "reason": 50, "product": 18, "video": 28,
    "scored_status": 13, "evidence": 30, "sim_deep": 9, "sim_kp": 9, "sim_edge": 9, "score_pair": 10,
    "consistency": 11, "coverage": 9, "mirrored": 9, "calibration": 12, "embed_model": 12, "listed_as": 18,
}  # fmt: skip
#: Excel's limits on a cell's text and on a link.
_TEXT_MAX: Final = 32_767
_LINK_MAX: Final = 2_079
#: Of one sheet; further addresses are texts.
_LINKS_MAX: Final = 65_000


def write_workbook(lines: Iterable[ResultLine], path: Path) -> int:
    """Writes the lines; returns how many.

    Raises:
        InputError: ``output.write``: the file cannot be written.
    """
    from xlsxwriter import Workbook
    from xlsxwriter.exceptions import XlsxWriterException

    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    try:
        book = Workbook(str(path), {**options, "in_memory": False})
        sheet = book.add_worksheet("results")
        bold = book.add_format({"bold": True, "bottom": 1})
        for place, (name, width) in enumerate(_COLUMNS.items()):
            sheet.write_string(0, place, name, bold)
            sheet.set_column(place, place, width)
        sheet.freeze_panes(1, 1)
        count = _fill(sheet, lines)
        sheet.autofilter(0, 0, max(count, 1), len(_COLUMNS) - 1)
        book.close()
    except (OSError, XlsxWriterException) as error:
        reason = f"it cannot be written ({error})"
        raise InputError("output.write", str(path), reason, "Name another file, or make room") from error
    return count


def _fill(sheet: Worksheet, lines: Iterable[ResultLine]) -> int:
    row = links = 0
    for line in lines:
        row += 1
        shown = replace(rounded(line), price=line.price)
        for place, name in enumerate(_COLUMNS):
            value = _value(name, getattr(shown, name))
            if isinstance(value, int | float):
                sheet.write_number(row, place, value)
            elif name.endswith("_url") and _is_link(value) and links < _LINKS_MAX:
                links += 1
                sheet.write_url(row, place, value, string=value)
            elif value:
                sheet.write_string(row, place, value[:_TEXT_MAX])
    return row


def _value(name: str, value: Any) -> str | int | float:
    if name == "price" and value:
        return float(value)
    return value if isinstance(value, int | float) else "" if value is None else str(value)


def _is_link(value: str) -> bool:
    return web(value) is not None and len(value) <= min(_LINK_MAX, 255)
