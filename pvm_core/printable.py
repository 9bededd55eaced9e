"""Foreign text as a terminal may have it: titles, names and messages that others wrote."""

from __future__ import annotations

import re
from typing import Final

#: Controls of C0 and C1 and DEL, which begin or are commands of a terminal (ECMA-48 sections 5.2 to 5.5; the
#: line feed and the tab stay); separators of lines and paragraphs; embeddings, overrides and isolates of the
#: bidirectional algorithm, which show characters in another order than they stand in (UAX #9, "Trojan
#: Source"); lone surrogates, which no stream takes. LRM, RLM and ALM stay: they only hold neutrals in place.
_UNFIT: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]"
)
_BREAKS: Final = dict.fromkeys(map(ord, "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), " ")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` without characters that command a terminal or reorder others; ``\\n`` and ``\\t`` stay.

    Other line breaks become blanks, lone surrogates U+FFFD; nothing else is added. Text without any such
    character comes back as it is.
    """
    if _UNFIT.search(text) is None:
        return text
    return _UNFIT.sub("", _SURROGATES.sub("\ufffd", text.replace("\r\n", "\n")).translate(_BREAKS))


def printable_json(text: str) -> str:
    """A JSON document of the same value, in which those characters stand as ``\\uXXXX``."""
    # JSON has them inside strings only, where an escape means the same.
    return _UNFIT.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
