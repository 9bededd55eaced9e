"""What a cell of a catalogue means: an id, references to pictures, an address. Pure functions."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from decimal import Decimal, InvalidOperation
from typing import Final

from pvm_resources.sources.catalogue import limits

#: Characters that nobody sees, beside white space: zero-width ones, marks of direction, soft hyphens, byte
#: order marks. Unicode's category Cf holds them all.
_INVISIBLE: Final = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f\u2028\u2029"
#: A spreadsheet's formula that keeps leading zeros, and its mark of a text cell.
_FORMULA: Final = re.compile(r'="([^"]*)"')
#: A long number as a spreadsheet shows it once it has rounded it.
_ROUNDED: Final = re.compile(r"\d(?:[.,]\d+)?[eE]\+\d+|\d[.,]\d+[eE]\d+")
#: An integer of more digits is nobody's id; expanding an exponent must not fill the memory.
_DIGITS: Final = 30
#: Characters of a cell of properties that are read.
_PROPERTIES: Final = 100_000
#: Suffixes of pictures, as catalogues write them.
PICTURES: Final = (
    ".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif",
)  # fmt: skip
_WEB: Final = ("http://", "https://")
_QUOTES: Final = "\"'`“”‘’«»"
_SEPARATORS: Final = ("\n", "|", ";", ",")
#: A variant before its picture, as eBay writes it: ``Red=https://...``.
_NAMED: Final = re.compile(r"[^=/|:]{1,80}=(?=https?://)", re.IGNORECASE)
_HOST: Final = re.compile(r"(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}(?::\d{1,5})?(?=/)", re.IGNORECASE)


def trimmed(text: str) -> str:
    """Without white space (non-breaking too) and invisible characters around it."""
    plain = text.strip()
    if plain.isascii():
        return plain
    # Linear: each end is cut once.
    start, end = 0, len(plain)
    while start < end and _blank(plain[start]):
        start += 1
    while end > start and _blank(plain[end - 1]):
        end -= 1
    return plain[start:end]


def _blank(char: str) -> bool:
    return char.isspace() or char in _INVISIBLE


def product_id(text: str) -> str:
    """An id as its shop has it: without what spreadsheets put around it to keep it a text."""
    plain = trimmed(text)
    if formula := _FORMULA.fullmatch(plain):
        return trimmed(formula.group(1))
    return trimmed(plain[1:]) if len(plain) > 1 and plain[0] == "'" and plain[1:2].isdigit() else plain


def is_rounded(text: str) -> bool:
    """True for ``8.93457E+12``: a number that a spreadsheet has rounded, so that several ids became one."""
    return _ROUNDED.fullmatch(text) is not None


def folded(text: str) -> str:
    """What ids have in common that differ in case, blanks and invisible characters only."""
    if text.isascii():
        return "".join(text.split()).casefold()
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in plain if not _blank(char) and unicodedata.category(char) != "Cf")


def number_text(text: str) -> str:
    """A JSON number as an id or a price: without the ``.0`` or the exponent of a whole number."""
    if not any(mark in text for mark in ".eE"):
        return text
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if number.adjusted() >= _DIGITS or number != number.to_integral_value():
        return text
    return str(int(number))


def number_cell(value: float) -> str:
    """A spreadsheet's number as a text; one of more than 15 digits shows that it was rounded."""
    if not value.is_integer():
        return repr(value)
    return str(int(value)) if abs(value) < 1e15 else f"{value:.5E}"


def named_values(cell: str) -> dict[str, str]:
    """The properties that one cell names: a JSON object, or ``color: red; size: M``."""
    if cell.startswith("{"):
        try:
            found = json.loads(cell[:_PROPERTIES], parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            return {}
        return {name: value for name, value in found.items() if isinstance(value, str)}
    parts = (part.partition(":") for part in re.split(r"[;|\n]", cell[:_PROPERTIES]))
    return {trimmed(name): trimmed(value) for name, colon, value in parts if colon and trimmed(name)}


def picture_list(cell: str, *, listed: bool = False) -> list[str]:
    """The pictures that one cell names, as given, without blanks and quotes around each.

    They are separated by commas, semicolons, bars or line breaks. A separator inside an address, or inside a
    file's name, is part of it: it separates only what looks like pictures on both sides.

    Args:
        listed: the cell is a list by its column: what stands between commas are pictures whatever they look
            like.
    """
    text = trimmed(cell)
    if not text:
        return []
    if text[0] == "[" and text[-1] == "]":
        text = text[1:-1]
    parts = [text]
    for separator in _SEPARATORS:
        if separator in text:
            parts = [one for part in parts for one in _split(part, separator, listed)]
        if len(parts) > limits.MAX_MORE:
            break
    return [one for part in parts if (one := _unquoted(part))][: limits.MAX_MORE + 2]


def _split(text: str, separator: str, listed: bool) -> list[str]:
    pieces = text.split(separator)
    if len(pieces) == 1:
        return pieces
    if separator == "\n" or (listed and "://" not in text):
        return pieces
    # What begins no picture belongs to the one before: a comma inside an address or a name.
    found: list[list[str]] = []
    for piece in pieces:
        before = found[-1][-1] if found else ""
        if not found or _begins_address(piece) or (_is_picture(piece) and _is_picture(before or piece)):
            found.append([])
        found[-1].append(piece)
    return [separator.join(one) for one in found]


def _begins_address(piece: str) -> bool:
    plain = _NAMED.sub("", piece.strip(f" {_QUOTES}")[:400])
    return plain.lower().startswith((*_WEB, "//", "www."))


def _is_picture(text: str) -> bool:
    return text[-400:].strip(f" {_QUOTES}").partition("?")[0].lower().endswith(PICTURES)


def _unquoted(text: str) -> str:
    plain = trimmed(text).strip(",;|").strip()
    while len(plain) > 1 and plain[0] in _QUOTES and plain[-1] in _QUOTES:
        plain = trimmed(plain[1:-1])
    return _NAMED.sub("", plain) if "=" in plain[:81] else plain


def repaired(image: str, scheme: str = "https") -> str:
    """A reference to a picture, repaired where it can mean one thing only; what needs no repair is unchanged.

    Entities of HTML are read (``&amp;``), ``//host`` gets `scheme`, ``www.`` gets ``https:``, blanks in an
    address become ``%20`` and backslashes strokes.
    """
    text = trimmed(html.unescape(image) if "&" in image and ";" in image else image)
    lower = text[:9].lower()
    if lower.startswith(("http:\\", "https:\\")):
        text = text.replace("\\", "/")
        lower = text[:9].lower()
    if lower.startswith("//"):
        text = f"{scheme}:{text}"
    elif lower.startswith("www."):
        text = f"https://{text}"
    return text.replace(" ", "%20") if text[:9].lower().startswith(_WEB) else text


def schemeless(image: str) -> str | None:
    """The address that a reference without a scheme may be, where it begins with a server's name."""
    host = _HOST.match(image)
    if host is None or host.group().lower().endswith(PICTURES):
        return None
    return f"https://{image}".replace(" ", "%20")


def web_page(text: str) -> str:
    """The address of a product's page; one without a scheme gets it."""
    plain = _unquoted(text)
    return (
        repaired(plain) if plain.startswith("//") or plain[:9].lower().startswith((*_WEB, "www.")) else plain
    )
