"""The marketplaces that the Browse API serves, their languages, and what a phrase must be like there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

#: Longer phrases are cut by eBay without a word (specification of `search`, parameter ``q``).
PHRASE_MAX: Final = 100
# A star is refused; brackets and commas turn words that must all be there into a choice of them.
_OPERATORS: Final = re.compile(r"[*(),]")

#: Marketplace -> locales, its default first. From eBay's "Buy API support by marketplace" (Browse column) and
#: the specification's text on ``Accept-Language``.
MARKETS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "EBAY_US": ("en-US",),
        "EBAY_AT": ("de-AT",),
        "EBAY_AU": ("en-AU",),
        "EBAY_BE": ("nl-BE", "fr-BE"),
        "EBAY_CA": ("en-CA", "fr-CA"),
        "EBAY_CH": ("de-CH",),
        "EBAY_DE": ("de-DE",),
        "EBAY_ES": ("es-ES",),
        "EBAY_FR": ("fr-FR",),
        "EBAY_GB": ("en-GB",),
        "EBAY_HK": ("zh-HK",),
        "EBAY_IE": ("en-IE",),
        "EBAY_IT": ("it-IT",),
        "EBAY_NL": ("nl-NL",),
        "EBAY_PL": ("pl-PL",),
        "EBAY_SG": ("en-US",),
    }
)


def languages(marketplace: str) -> tuple[str, ...]:
    """The languages of a marketplace, its default first."""
    return tuple(locale.split("-")[0] for locale in MARKETS[marketplace])


def locale(marketplace: str, language: str) -> str:
    """What ``Accept-Language`` says there: the locale of that language, else the default one."""
    found = [one for one in MARKETS[marketplace] if one.split("-")[0] == language]
    return found[0] if found else MARKETS[marketplace][0]


def fit(phrase: str) -> str:
    """`phrase` as eBay takes it: without its operators, cut at a word's end to 100 characters; may be ""."""
    words = " ".join(_OPERATORS.sub(" ", phrase).split())
    if len(words) <= PHRASE_MAX:
        return words
    cut = words[: PHRASE_MAX + 1].rsplit(" ", 1)[0]
    return cut[:PHRASE_MAX]
