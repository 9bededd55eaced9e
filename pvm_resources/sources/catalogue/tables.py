"""Rows of a user's catalogue: a spreadsheet, delimited text, JSON or a product feed; the content decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pvm_core.errors import InputError
from pvm_core.file_type import describe
from pvm_resources.sources.catalogue.content import Content
from pvm_resources.sources.catalogue.delimited import delimited_rows
from pvm_resources.sources.catalogue.json_rows import json_rows
from pvm_resources.sources.catalogue.product_feed import feed_rows
from pvm_resources.sources.catalogue.rows import Row
from pvm_resources.sources.catalogue.text import decoded, marked_encoding, wrong_type
from pvm_resources.sources.catalogue.workbook import is_workbook, workbook_rows


def read_rows(
    content: Content,
    columns: Mapping[str, str] | None = None,
    note: Callable[[InputError], None] = lambda error: None,
) -> Iterator[Row]:
    """Rows of a catalogue, in order; blank rows are passed over.

    Args:
        content: the bytes.
        columns: columns that the user named, by field.
        note: takes what is worth saying and costs nothing: an encoding that was recognised.

    Raises:
        InputError: ``table.empty``, ``table.type``, ``table.encoding``, ``table.columns``, ``table.limits``,
            ``table.syntax``, ``table.unsafe``, and what reading `content` raises.
    """
    given = columns or {}
    if _is_feed(content.head()):
        yield from feed_rows(content, given)
        return
    data = content.whole()
    if is_workbook(data):
        yield from workbook_rows(content.subject, data, given)
        return
    found = decoded(content.subject, data)
    del data
    if found.guessed:
        note(_recognised(content.subject, found.guessed))
    first = found.text.lstrip("\ufeff \t\r\n")[:1]
    if first == "<":
        raise wrong_type(content.subject, describe(found.text[:4_096].encode("utf-8", "ignore")).name)
    rows = json_rows if first in ("{", "[") else delimited_rows
    yield from rows(content.subject, found.text, given)


def _recognised(subject: str, encoding: str) -> InputError:
    reason = f"it is no UTF-8; its letters look like {encoding.upper()}, and so it was read"
    return InputError("catalogue.encoding", subject, reason, "Where titles are wrong, save it as CSV UTF-8")


def _is_feed(head: bytes) -> bool:
    """XML of some kind; pages and drawings are refused by their own names."""
    text = head.decode(marked_encoding(head) or "utf-8", "ignore")
    if text.lstrip("\ufeff \t\r\n")[:1] != "<":
        return False
    return describe(text.encode("utf-8", "ignore")).name in ("an XML document", "markup text")
