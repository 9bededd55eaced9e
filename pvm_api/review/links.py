"""Addresses of products and videos as a page may link them."""

from __future__ import annotations

import math
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

#: Sites whose addresses take a second, and the parameter that holds it.
_SECONDS: Final = {"youtube.com": "t", "youtu.be": "t", "bilibili.com": "t"}


def web(url: str) -> str | None:
    """The address where it is one of the web; None for anything else, such as a script."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None
    return parts.geturl() if parts.scheme in ("http", "https") and parts.hostname else None


def at_second(url: str, ts: float) -> str | None:
    """A video's address at that second, where its site takes one; else its address as it is.

    YouTube and bilibili begin at the whole second ``t``; a start a moment early loses nothing.
    """
    found = web(url)
    if found is None:
        return None
    parts = urlsplit(found)
    host = (parts.hostname or "").removeprefix("www.").removeprefix("m.")
    name = _SECONDS.get(host)
    if name is None:
        return found
    kept = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key != name]
    return urlunsplit(parts._replace(query=urlencode([*kept, (name, str(math.floor(ts)))])))


def within(path: str) -> str:
    """Where to go back to: a path of the review page, never another site."""
    fine = path == "/review" or path.startswith(("/review/", "/review?"))
    return path if fine and "\\" not in path and not any(ord(c) < 0x20 for c in path) else "/review"
