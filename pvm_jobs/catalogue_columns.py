"""Which column of a catalogue means what, as a user says it where the catalogue's own header does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pvm_core.errors import InputError
from pvm_jobs.text import UNSTORABLE, is_storable

#: Fields of a product that a catalogue may hold; the first two are needed.
FIELDS: Final = (
    "product_id", "image", "more_images", "title", "description", "category", "brand", "url", "price",
    "currency", "availability", "updated_at", "parent",
)  # fmt: skip
_COLUMN_MAX: Final = 300
_EXAMPLE: Final = 'Write product_id=SKU,image="Image URL"'


def parse_columns(given: Any) -> dict[str, str]:
    """Columns by field, of ``{"product_id": "SKU", "image": "Image URL"}``.

    Raises:
        InputError: ``request.columns``: it is no such object, a field is unknown, a column has no name.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError("request.columns", "columns", "it is no object of fields and columns", _EXAMPLE)
    found: dict[str, str] = {}
    for field, column in given.items():
        if field not in FIELDS:
            known = ", ".join(FIELDS)
            raise InputError(
                "request.columns", f"columns.{str(field)[:80]}", "it is no field", f"Use {known}"
            )
        if not isinstance(column, str) or not column.strip() or len(column) > _COLUMN_MAX:
            reason = f"it names no column (1 to {_COLUMN_MAX} characters)"
            raise InputError("request.columns", f"columns.{field}", reason, _EXAMPLE)
        if not is_storable(column):
            raise InputError("request.columns", f"columns.{field}", *UNSTORABLE)
        found[field] = column.strip()
    return found


def read_columns(given: Sequence[str]) -> dict[str, str]:
    """Columns by field, of ``product_id=SKU,image="Image URL"``; a comma within quotes is part of a name.

    Raises:
        InputError: ``request.columns``.
    """
    found: dict[str, str] = {}
    for part in (part for text in given for part in _parts(text)):
        field, equals, column = part.partition("=")
        if not equals:
            raise InputError("request.columns", part[:80], "it has no =", _EXAMPLE)
        found[field.strip()] = column.strip().strip("\"'")
    return parse_columns(found)


def _parts(text: str) -> list[str]:
    """The text cut at commas that stand outside quotation marks."""
    parts, quote = [""], ""
    for char in text:
        if char in "\"'" and quote in ("", char):
            quote = "" if quote else char
        if char == "," and not quote:
            parts.append("")
        else:
            parts[-1] += char
    return [part for part in parts if part.strip()]
