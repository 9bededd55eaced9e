"""Addresses that users and shops give."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

_LONGEST: Final = 8_000


def is_web_url(text: str, longest: int = _LONGEST) -> bool:
    """True for an http(s) address that can be used: a host, no blanks, at most `longest` long."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return usable and len(text) <= longest and text.isprintable() and " " not in text
