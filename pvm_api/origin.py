"""Whether a request was caused by a page of another site, by the headers that browsers set. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

#: Methods that change nothing (RFC 9110, section 9.2.1).
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
#: Where Sec-Fetch-Site says that our own page, or no page at all, caused the request.
_OURS: Final = frozenset({"same-origin", "none"})
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
_PORTS: Final = {"http": "80", "https": "443"}


def host_of(header: str) -> str | None:
    """The name in a Host header, lower case, without brackets and port; None where it is no host."""
    found = _HOST.fullmatch(header.strip())
    return found[1].strip("[]").lower() if found else None


def is_foreign(method: str, headers: Mapping[str, str], allowed: Collection[str] = ()) -> bool:
    """Whether a page of another site caused a request that may change something.

    Current browsers state the relation in Sec-Fetch-Site, older ones name the page's origin on every request
    but a plain GET or HEAD; a page can neither leave them out nor forge them. The former decides, because a
    page of ours under ``Referrer-Policy: no-referrer`` posts its forms with ``Origin: null``. Programs that
    are no browsers send neither and are not foreign.

    Args:
        headers: by lower-case name.
        allowed: further origins that may, as ``https://shop.example.org``.
    """
    if method in SAFE:
        return False
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin in allowed:
        return False
    if site is not None:
        return site not in _OURS
    return origin is not None and not _is_own(origin, headers.get("host", ""))


def _is_own(origin: str, host: str) -> bool:
    """Whether the origin is the host that was asked; behind a proxy that ends TLS the schemes differ."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if parts.scheme not in _PORTS or not parts.netloc:
        return False
    return _with_port(parts.netloc, parts.scheme) == _with_port(host, parts.scheme)


def _with_port(place: str, scheme: str) -> str | None:
    found = _HOST.fullmatch(place.strip())
    return f"{found[1].lower()}:{found[2] or _PORTS[scheme]}" if found else None
