"""Rows of a catalogue in JSON: one object a line, an array of objects, or an object that holds one.

The last is what Shopify's ``products.json`` and most APIs answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pvm_core import product_facts
from pvm_core.errors import InputError
from pvm_resources.sources.catalogue import limits
from pvm_resources.sources.catalogue.cells import number_text, picture_list
from pvm_resources.sources.catalogue.columns import Columns, columns_of
from pvm_resources.sources.catalogue.rows import Row

#: Keys under which an answer holds its products.
_LISTS: Final = frozenset(
    ("products", "items", "data", "results", "rows", "records", "entries", "catalogue", "catalog", "product")
)
#: Keys of an object that stands for a picture.
_PICTURE_KEYS: Final = ("src", "url", "href", "link", "image", "image_url", "image_link", "originalSrc")
#: Keys of an object that stands for a text: a brand, a category.
_TEXT_KEYS: Final = ("name", "title", "value", "label")
#: Keys of an object or a list of properties, and of the value of one that has a name.
_ATTRIBUTE_KEYS: Final = frozenset(("attributes", "options", "specifications", "properties", "aspects"))
_VALUE_KEYS: Final = ("value", "values", "options", "option")
#: What n8n puts around each item.
_WRAPPED: Final = frozenset(("json", "binary", "pairedItem"))
_BLANK: Final = re.compile(r"[ \t\r\n]*")
_BETWEEN: Final = re.compile(r"[ \t\r\n]*,?[ \t\r\n]*")
_AGAIN: Final = "Export it again, or give one JSON object a line"
_HEADERS: Final = 1_000

#: Numbers as their text: an id of 13 digits is no float.
_DECODER: Final = json.JSONDecoder(parse_float=number_text, parse_int=str)


def json_rows(subject: str, text: str, given: Mapping[str, str]) -> Iterator[Row]:
    """The rows of a catalogue whose text begins with ``{`` or ``[``.

    Args:
        given: columns that the user named, by field; of an object they are its keys.

    Raises:
        InputError: ``table.syntax``: broken before its first object; ``table.limits``; ``table.columns``.
    """
    reading = _Objects(subject, given)
    start = text.find("[") if text.lstrip("\ufeff \t\r\n")[:1] == "[" else -1
    if start >= 0:
        return reading.listed(text, start + 1)
    if _is_lines(text):
        return reading.lines(text)
    start = _list_in(text)
    if start >= 0:
        return reading.listed(text, start + 1)
    # Objects over several lines, one after the other.
    return reading.listed(text, text.find("{"), bracketed=False)


class _Objects:
    """Objects of one text, turned into rows."""

    def __init__(self, subject: str, given: Mapping[str, str]) -> None:
        self._subject = subject
        self._given = given
        self._counted = limits.Counted(subject)
        self._headers: dict[tuple[str, ...], Columns] = {}

    def lines(self, text: str) -> Iterator[Row]:
        """One object a line; a line that is none costs itself alone."""
        for number, line in enumerate(_split(text), start=1):
            content = line.strip().removeprefix("\ufeff")
            if not content:
                continue
            self._counted.row()
            if len(content) > limits.MAX_RECORD:
                yield Row(number, {}, f"a JSON object of more than {limits.MAX_RECORD:,} characters")
                continue
            try:
                record, end = _DECODER.raw_decode(content)
                if content[end:].strip():
                    raise ValueError("Extra data")
            except (ValueError, RecursionError) as error:
                yield Row(number, {}, f"not a JSON object ({_why(error)})")
                continue
            yield self._row(number, record)

    def listed(self, text: str, start: int, *, bracketed: bool = True) -> Iterator[Row]:
        """The elements of an array, or objects that follow each other; where it breaks off, the last row says
        so."""
        number, window, at = 0, "", 0
        while True:
            if not window:
                window, at = text[start : start + limits.MAX_RECORD], 0
            at = _after(_BETWEEN, window, at)
            if window[at : at + 1] == "]" or (not bracketed and start + at >= len(text)):
                return
            try:
                record, end = _DECODER.raw_decode(window, at)
            except (ValueError, RecursionError) as error:
                whole = start + len(window) >= len(text)
                if at > 0 and not whole:
                    # The element goes on behind the window.
                    start, window = start + at, ""
                    continue
                if number == 0 and whole:
                    reason = f"it is no well-formed JSON ({_why(error)})"
                    raise InputError("table.syntax", self._subject, reason, _AGAIN) from error
                what = _why(error) if whole else f"an object of more than {limits.MAX_RECORD:,} characters"
                yield Row(number + 1, {}, f"the JSON is broken here ({what}); what follows is not read")
                return
            number, at = number + 1, end
            self._counted.row()
            yield self._row(number, record)

    def _row(self, number: int, record: Any) -> Row:
        if isinstance(record, dict) and "json" in record and record.keys() <= _WRAPPED:
            record = record["json"]
        if not isinstance(record, dict):
            kind = "int" if isinstance(record, str) and record.isdigit() else type(record).__name__
            return Row(number, {}, f"a JSON {kind}, not an object")
        if isinstance(variants := record.get("variants"), list) and "price" not in record:
            # Shopify has no price of a product, but of its variants.
            record = {**_available(variants), **record, **_price_of(variants[:1])}
        if len(record) > limits.MAX_COLUMNS:
            return Row(number, {}, f"{len(record):,} names, more than the {limits.MAX_COLUMNS:,} allowed")
        names = tuple(record)
        columns = self._headers.get(names)
        if columns is None:
            if len(self._headers) >= _HEADERS:
                self._headers.clear()
            given = {field: name for field, name in self._given.items() if name in record}
            if number == 1 and len(given) < len(self._given):
                # The first object has them all, or the user has mistyped one.
                given = dict(self._given)
            columns = self._headers[names] = self._columns(names, given)
        return _row(number, columns, list(record.values()))

    def _columns(self, names: tuple[str, ...], given: Mapping[str, str]) -> Columns:
        try:
            return columns_of(names, given)
        except InputError as error:
            raise InputError(error.code, self._subject, error.reason, error.remedy) from error


def _first(values: list[Any], places: Sequence[int], read: Callable[[Any], str]) -> str:
    return next((text for place in places if (text := read(values[place]))), "")


def _row(number: int, columns: Columns, values: list[Any]) -> Row:
    texts = {
        field: _first(values, places, _READERS.get(field, _text)) for field, places in columns.texts.items()
    }
    texts["product_id"] = _first(values, columns.ids, _text)
    images: list[str] = []
    for place in (*([] if columns.image is None else [columns.image]), *columns.more):
        images += _pictures(values[place])
    if not texts["product_id"] and columns.ids and isinstance(values[columns.ids[0]], (dict, list, bool)):
        kind = type(values[columns.ids[0]]).__name__
        return Row(number, {}, f"its {columns.names[columns.ids[0]][:80]} is a {kind}, no id")
    return Row(
        number, texts, "", tuple(images[: limits.MAX_MORE + 2]), attributes=_attributes(columns, values)
    )


def _attributes(columns: Columns, values: list[Any]) -> dict[str, str]:
    """Properties under their own names, and those of an object or a list of named values."""
    found = {name: text for name, place in columns.attributes if name and (text := _text(values[place]))}
    for name, value in zip(columns.names, values, strict=True):
        if name.lower() in _ATTRIBUTE_KEYS:
            found |= _named_values(value)
    return found


def _named_values(value: Any) -> dict[str, str]:
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        # WooCommerce says options, Shopify values, eBay and most others value.
        pairs = [
            (one["name"], next((one[key] for key in _VALUE_KEYS if key in one), ""))
            for one in value[: product_facts.ATTRIBUTES_MAX]
            if isinstance(one, dict) and isinstance(one.get("name"), str)
        ]
    else:
        return {}
    return {name: text for name, one in pairs if name != "Title" and (text := _joined(one))}


def _joined(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(text for one in value[: product_facts.ATTRIBUTES_MAX] if (text := _text(one)))
    return _text(value)


def _price_of(variants: list[Any]) -> dict[str, Any]:
    return {"price": one["price"] for one in variants if isinstance(one, dict) and "price" in one}  # noqa: B035


def _available(variants: list[Any]) -> dict[str, Any]:
    """Shopify says of each variant whether it can be bought."""
    said = [one["available"] for one in variants if isinstance(one, dict) and "available" in one]
    return {"available": any(one is True for one in said)} if said else {}


def _text(value: Any) -> str:
    """A value as a text; of an object its name."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return next((value[key] for key in _TEXT_KEYS if isinstance(value.get(key), str)), "")
    return ""


def _first_text(value: Any) -> str:
    """A value as a text; of a list, such as a shop's categories, its first one."""
    return next(filter(None, map(_text, value[:10])), "") if isinstance(value, list) else _text(value)


def _stock(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else _text(value)


#: How fields that are no plain texts are read.
_READERS: Final[Mapping[str, Callable[[Any], str]]] = {"category": _first_text, "availability": _stock}


def _pictures(value: Any) -> list[str]:
    """The pictures that a value names: a text, an object with an address, or a list of these."""
    if isinstance(value, str):
        return picture_list(value)
    if isinstance(value, dict):
        return next(([value[key]] for key in _PICTURE_KEYS if isinstance(value.get(key), str)), [])
    if isinstance(value, list):
        found: list[str] = []
        for one in value[: limits.MAX_MORE + 2]:
            if isinstance(one, (str, dict)):
                found += [one] if isinstance(one, str) else _pictures(one)
        return found
    return []


def _is_lines(text: str) -> bool:
    """Whether the first line that holds anything is a whole object, and not one around all products."""
    for line in _split(text):
        content = line.strip().removeprefix("\ufeff")
        if content:
            if len(content) > limits.MAX_RECORD:
                return _list_in(text) < 0
            try:
                record, end = _DECODER.raw_decode(content)
            except (ValueError, RecursionError):
                # A broken first line, or an object over several lines.
                return _list_in(text) < 0 and not _begins_whole(text)
            return bool(content[end:].strip()) or not _holds_list(record)
    return True


def _begins_whole(text: str) -> bool:
    """Whether an object over several lines begins the text."""
    try:
        _DECODER.raw_decode(text[: limits.MAX_RECORD], text.find("{"))
    except (ValueError, RecursionError):
        return False
    return True


def _holds_list(record: Any) -> bool:
    return isinstance(record, dict) and any(
        key.lower() in _LISTS and isinstance(value, list) and value and isinstance(value[0], dict)
        for key, value in record.items()
    )


def _list_in(text: str) -> int:
    """Where the list of products begins in an object; -1 where there is none among its first values."""
    window = text[: limits.MAX_RECORD]
    at = _after(_BLANK, window, 1 if window.startswith("\ufeff") else 0)
    if window[at : at + 1] != "{":
        return -1
    at += 1
    try:
        while True:
            at = _after(_BETWEEN, window, at)
            key, at = _DECODER.raw_decode(window, at)
            at = _after(_BLANK, window, at)
            if window[at : at + 1] != ":" or not isinstance(key, str):
                return -1
            at = _after(_BLANK, window, at + 1)
            inner = _after(_BLANK, window, at + 1)
            if (
                window[at : at + 1] == "["
                and key.lower() in _LISTS
                and window[inner : inner + 1] in ("{", "]")
            ):
                return at
            _, at = _DECODER.raw_decode(window, at)
    except (ValueError, RecursionError):
        return -1


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    assert found is not None
    return found.end()


def _why(error: Exception) -> str:
    return getattr(error, "msg", None) or (
        "nested too deeply" if isinstance(error, RecursionError) else str(error)
    )


def _split(text: str) -> Iterator[str]:
    """The lines of a text, one at a time; only a line feed ends one."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + 1
