"""What shops say of a product beside its name: description, availability, time of change; pure functions."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

#: Characters of a description; Google Merchant Center's own limit.
DESCRIPTION_MAX: Final = 5_000
#: Attributes of one product, and characters of a name and of a value.
ATTRIBUTES_MAX: Final = 100
NAME_MAX: Final = 100
VALUE_MAX: Final = 1_000
#: Google Merchant Center's and schema.org's states; "" is unknown.
AVAILABILITIES: Final = ("in_stock", "out_of_stock", "preorder", "backorder")
_WORDS: Final = {
    word: state
    for state, words in {
        "in_stock": """in_stock instock available in_store_only instoreonly online_only onlineonly
            limited_stock limitedavailability limited_availability true yes y active
            còn_hàng có_hàng 有货 有貨 現貨 现货
            auf_lager en_stock disponible""",
        "out_of_stock": """out_of_stock outofstock sold_out soldout unavailable discontinued
            temporarily_unavailable oos false no n
            hết_hàng 缺货 缺貨 无货 售罄 nicht_auf_lager rupture_de_stock agotado""",
        "preorder": "preorder pre_order presale pre_sale đặt_trước 预售 預售",
        "backorder": "backorder back_order onbackorder on_backorder available_for_order",
    }.items()
    for word in words.split()
}  # fmt: skip
_NUMBER: Final = re.compile(r"-?\d{1,12}(?:[.,]\d{1,6})?", re.ASCII)
_MARKUP: Final = re.compile(r"<[a-zA-Z/!]|&[#a-zA-Z]")
_TAG: Final = re.compile(r"</?[a-zA-Z][^<>]*>")
_CODE: Final = re.compile(r"<(script|style|!--)", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """What a product is beside its identity and its name; "" and None where its source does not say.

    Attributes:
        description: plain text, at most `DESCRIPTION_MAX` characters.
        category: as its source words it.
        availability: one of `AVAILABILITIES`.
        attributes: name -> value, e.g. ``{"color": "blue"}``.
        updated_at: when its source changed it last, with a time zone.
    """

    description: str = ""
    category: str = ""
    availability: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    updated_at: datetime | None = None


def parse_availability(text: str) -> str:
    """One of `AVAILABILITIES`, of a shop's word, an address of schema.org or a number of pieces; "" where it
    says none of these."""
    plain = text.strip().casefold().rpartition("schema.org/")[2]
    if _NUMBER.fullmatch(plain):
        return "in_stock" if float(plain.replace(",", ".")) > 0 else "out_of_stock"
    return _WORDS.get("_".join(plain.replace("-", " ").replace("_", " ").split()), "")


def parse_moment(text: str) -> datetime | None:
    """The moment of an ISO 8601 text, UTC where it names no zone; None where it is none."""
    try:
        found = datetime.fromisoformat(text.strip()[:40])
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def plain_text(text: str, limit: int = DESCRIPTION_MAX) -> str:
    """A text without markup, white space single, cut at `limit` characters."""
    # What is beyond cannot matter, and a description may hold a million characters.
    text = text[: 20 * limit]
    if _MARKUP.search(text):
        text = html.unescape(_TAG.sub(" ", _without_code(text)))
    return " ".join(text.split())[:limit].rstrip()


def _without_code(text: str) -> str:
    """Without scripts, styles and comments; one that does not end takes the rest, as a browser reads it."""
    kept, at = [], 0
    while begins := _CODE.search(text, at):
        kept.append(text[at : begins.start()])
        name = begins.group(1)
        end = (
            text.find("-->", begins.end())
            if name == "!--"
            else text.lower().find(f"</{name.lower()}", begins.end())
        )
        if end < 0:
            return " ".join(kept)
        at = end + (3 if name == "!--" else 0)
    return " ".join((*kept, text[at:]))


def clean_attributes(given: Mapping[str, str]) -> dict[str, str]:
    """Names and values without blanks around them, empty ones left out, as many and as long as are kept."""
    plain = {
        " ".join(name.split())[:NAME_MAX]: plain_text(value, VALUE_MAX)
        for name, value in list(given.items())[:ATTRIBUTES_MAX]
    }
    return {name: value for name, value in plain.items() if name and value}
