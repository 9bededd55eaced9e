"""Addresses as they may be shown: in labels, messages, logs, events and answers.

What follows ``?`` in the address of a feed, a picture or a video is often a key or a signature, and what
stands before ``@`` is a name with a password. The whole address is for the one who fetches it; everybody else
gets what these functions give.
"""

from __future__ import annotations

import re
from typing import Final

#: What a query that is not shown leaves behind.
HIDDEN: Final = "?…"
_WEB: Final = re.compile(r"https?://", re.IGNORECASE)
_HOST: Final = re.compile(r"[^/?#\\]*")
_PATH: Final = re.compile(r"[^?#]*")
#: An address within a sentence; what a sentence puts around one is not part of it.
_IN_TEXT: Final = re.compile(r"https?://[^\s'\"<>|]+", re.IGNORECASE)
#: Parameters that name a public page and no caller, by the site's own domain.
_PUBLIC: Final = (("youtube.com", "v"), ("bilibili.com", "p"), ("douyin.com", "modal_id"))
_ID: Final = re.compile(r"[\w-]{1,40}", re.ASCII)


def shown_url(url: str) -> str:
    """The address without user name, password, query and fragment; a query leaves ``?…`` behind.

    Parameters that name a video on a known site stay. What is no http(s) address comes back as it is.
    """
    scheme = _WEB.match(url)
    if scheme is None:
        return url
    authority = _HOST.match(url, scheme.end())
    assert authority is not None
    path = _PATH.match(url, authority.end())
    assert path is not None
    host = authority.group().rpartition("@")[2]
    query = url[path.end() + 1 :].partition("#")[0] if url[path.end() : path.end() + 1] == "?" else ""
    return f"{scheme.group()}{host}{path.group()}{_shown_query(host, query)}"


def without_secrets(text: str) -> str:
    """A sentence with every address in it as `shown_url` gives it."""
    return _IN_TEXT.sub(_shown_match, text) if "://" in text else text


def _shown_match(found: re.Match[str]) -> str:
    url = found.group().rstrip(").,;:")
    return shown_url(url) + found.group()[len(url) :]


def _shown_query(host: str, query: str) -> str:
    domain = host.lower().partition(":")[0]
    names = [name for site, name in _PUBLIC if domain == site or domain.endswith(f".{site}")]
    for name in names:
        for part in query.split("&"):
            key, _, value = part.partition("=")
            if key == name and _ID.fullmatch(value):
                return f"?{name}={value}"
    return HIDDEN if query else ""
