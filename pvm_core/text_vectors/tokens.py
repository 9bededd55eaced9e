"""Tokens of a product's words: Vietnamese with and without accents, Chinese, English, any letters.

A Vietnamese word is one to four syllables that white space sets apart ("gối công thái học"), so pairs of
neighbours are tokens beside single ones. Chinese sets nothing apart: characters and pairs of them are what
retrieval without a dictionary uses (Nie, Gao, Zhang and Zhou, "On the use of words and n-grams for Chinese
information retrieval", IRAL 2000).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

#: Raise where `tokens` answers otherwise for the same text: a model's vocabulary is of these.
VERSION: Final = "1"
#: Letters that are one word each: Chinese, with Japanese kana. Hangul sets words apart by white space.
_CHARACTER: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_RUN: Final = re.compile(f"[{_CHARACTER}]+|[^\\W_{_CHARACTER}]+")
_IS_CHARACTER: Final = re.compile(f"[{_CHARACTER}]")
#: Characters; a longer run of letters is no word.
_WORD_MAX: Final = 40
#: Words so short keep their s: "gas", "bus".
_PLURAL_MIN: Final = 4


def tokens(text: str) -> Iterator[str]:
    """The tokens of a text, in its order, each as often as it stands there.

    A word with accents is two tokens, as written and without them, so that a text typed without accents
    meets both. The plural s of English is taken off. Pairs of neighbours are joined by ``_``.
    """
    before: str | None = None
    for run in _RUN.findall(unicodedata.normalize("NFKC", text).casefold()):
        if _IS_CHARACTER.match(run):
            yield from run
            yield from (one + two for one, two in pairwise(run))
            before = None
            continue
        if len(run) > _WORD_MAX:
            before = None
            continue
        plain = unaccented(run)
        if plain == run:
            plain = _singular(run)
        else:
            yield run
        yield plain
        if before is not None:
            yield f"{before}_{plain}"
        before = plain


def unaccented(text: str) -> str:
    """The text without accents: "gối" becomes "goi", "đ" becomes "d"."""
    apart = unicodedata.normalize("NFKD", text)
    return "".join(one for one in apart if not unicodedata.combining(one)).replace("đ", "d")


def _singular(word: str) -> str:
    plural = len(word) >= _PLURAL_MIN and word.isascii() and word.endswith("s") and not word.endswith("ss")
    return word[:-1] if plural else word


def product_text(name: str, description: str = "", category: str = "") -> str:
    """What a product's vector is of; the name says it twice, since a description says much besides."""
    return "\n".join((name, name, category, description))
