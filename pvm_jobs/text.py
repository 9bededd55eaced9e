"""Text as PostgreSQL can hold it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_UNFIT: Final = re.compile("[\x00\ud800-\udfff]")
#: What JSON makes of such characters, or of an innocent pair of surrogates.
_ESCAPED: Final = re.compile(r"\\u(0000|d[89a-f])")


def clean(text: str) -> str:
    """`text` with what PostgreSQL cannot hold (NUL, lone surrogates) replaced; for text that people read,
    never for identities."""
    return _UNFIT.sub("\ufffd", text)


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold the text as it is."""
    return _UNFIT.search(text) is None


#: Why a text that `is_storable` denies is refused, and what helps.
UNSTORABLE: Final = ("it holds a zero byte or half of a character", "Type it anew")


def dumps(value: Any) -> str:
    """`value` as JSON that jsonb takes: its texts and keys `clean`."""
    text = json.dumps(value)
    return json.dumps(cleaned(value)) if _ESCAPED.search(text) else text


def cleaned(value: Any) -> Any:
    """A JSON value with its texts and keys `clean`."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {cleaned(key): cleaned(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(one) for one in value]
    return value
