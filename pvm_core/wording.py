"""Counts and names in messages: the right plural, and what a mistyped name may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from anyascii import anyascii

#: How alike two names are of which one may be the other mistyped (`difflib.SequenceMatcher.ratio`).
NEAR = 0.75


def counted(count: int, one: str, many: str = "") -> str:
    """``1 match``, ``1,200 matches``.

    Args:
        many: the plural; default `one` with an s.
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def shortened(text: str, limit: int = 80) -> str:
    """At most `limit` characters, the end marked where something is left out."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def near_names(given: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names that `given` may have meant, the most alike first; case and marks count little."""
    plain: dict[str, str] = {}
    for name in known:
        plain.setdefault(_plain(name), name)
    return [plain[found] for found in difflib.get_close_matches(_plain(given), plain, n=most, cutoff=NEAR)]


def _plain(name: str) -> str:
    return " ".join(anyascii(name).casefold().replace("-", " ").replace("_", " ").split())
