"""Addresses of products and videos as a page may link them, those of videos at a second."""

from __future__ import annotations

import math
from pathlib import PurePath, PurePosixPath
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

#: Sites whose addresses take a second, and the parameter that holds it.
_SECONDS: Final = {"youtube.com": "t", "youtu.be": "t", "bilibili.com": "t"}
#: Endings of addresses that lead to the file itself, which browsers play from a media fragment on
#: (https://www.w3.org/TR/media-frags/).
_FILES: Final = frozenset(
    (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".ogv", ".ogg", ".avi", ".ts", ".mts", ".3gp", ".wmv", ".flv")
)


def web(url: str) -> str | None:
    """The address where it is one of the web; None for anything else, such as a script."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None
    return parts.geturl() if parts.scheme in ("http", "https") and parts.hostname else None


def at_second(url: str, ts: float) -> str | None:
    """A video's address at that second, where its site takes one or it is the file itself; else its address
    as it is; None where it is none of the web.

    YouTube and bilibili begin at the whole second ``t``; a start a moment early loses nothing.
    """
    found = web(url)
    if found is None:
        return None
    parts = urlsplit(found)
    host = (parts.hostname or "").removeprefix("www.").removeprefix("m.")
    name = _SECONDS.get(host)
    if name is None:
        plays = PurePosixPath(parts.path).suffix.lower() in _FILES
        return urlunsplit(parts._replace(fragment=fragment(ts))) if plays else found
    kept = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key != name]
    place, _, short = parts.path.strip("/").partition("/")
    if host == "youtube.com" and place == "shorts" and short:
        # A short begins at its start whatever its address says; the same video's own page does not.
        parts, kept = parts._replace(path="/watch"), [("v", short), *kept]
    return urlunsplit(parts._replace(query=urlencode([*kept, (name, str(math.floor(ts)))])))


def file_at_second(path: str, ts: float) -> str:
    """The address of a file of this machine at that second; "" where the path is not absolute."""
    place = PurePath(path)
    return f"{place.as_uri()}#{fragment(ts)}" if place.is_absolute() else ""


def fragment(ts: float) -> str:
    """The media fragment that begins at that second, cut to tenths."""
    return f"t={math.floor(max(ts, 0.0) * 10 + 1e-6) / 10:g}"
