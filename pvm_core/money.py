"""Prices as shops write them: an amount as a plain decimal and the currency's ISO 4217 code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

#: Signs that stand for one currency alone. ``$``, ``¥`` and ``kr`` stand for several and are left out.
_SIGNS: Final = {
    "€": "EUR", "£": "GBP", "₫": "VND", "đ": "VND", "vnđ": "VND", "元": "CNY", "₩": "KRW", "฿": "THB",
    "₱": "PHP",
    "₹": "INR", "rm": "MYR", "rp": "IDR", "us$": "USD", "a$": "AUD", "au$": "AUD", "c$": "CAD", "ca$": "CAD",
    "s$": "SGD", "nt$": "TWD", "hk$": "HKD", "r$": "BRL", "zł": "PLN", "kč": "CZK", "₺": "TRY", "₪": "ILS",
}  # fmt: skip
_AMOUNT: Final = re.compile(r"\d{1,15}(\.\d{1,9})?", re.ASCII)


@dataclass(frozen=True)
class Price:
    """What something costs.

    Attributes:
        amount: a plain decimal, e.g. ``19.99``; "" where unknown.
        currency: ISO 4217, e.g. ``VND``; "" where unknown.
    """

    amount: str = ""
    currency: str = ""


def parse_price(text: str, currency: str = "") -> Price:
    """The price that `text` states; unknown where it states none, or a negative one.

    Args:
        text: as shops write it: ``19.99 USD``, ``$1,299.00``, ``1.299.000₫``, ``19,99 €``.
        currency: of a column of its own; it wins where it is one.
    """
    from price_parser import Price as Parsed

    text = text.strip()[:100]
    if not any(c.isdecimal() for c in text) or re.match(r"[-−]\s*\d", text):
        return Price()
    found = Parsed.fromstring(text)
    amount = "" if found.amount is None else format(found.amount, "f")
    if not _AMOUNT.fullmatch(amount):
        return Price()
    known = _code(currency) or _code(found.currency or "") or _within(text)
    return Price(amount, known)


def _code(text: str) -> str:
    plain = text.strip()
    return plain.upper() if plain.upper() in _codes() else _SIGNS.get(plain.lower(), "")


def _within(text: str) -> str:
    words = [code for word in re.findall(r"[A-Za-z]{3}", text) if (code := _code(word))]
    return (
        words[0]
        if len(words) == 1
        else next((code for sign, code in _SIGNS.items() if not sign.isascii() and sign in text.lower()), "")
    )


@cache
def _codes() -> frozenset[str]:
    from babel.numbers import list_currencies

    return frozenset(list_currencies())
