"""Whether a request is meant for this server, and whose page made it: Host, Origin, Fetch Metadata. Pure.

The judgement of `foreign_page` is the one of Go's `net/http.CrossOriginProtection` (Go 1.25): what a browser
says of itself decides, and a program that says nothing is no browser. Origin and Host are compared by host
and port, without the scheme, so that it holds behind a proxy that ends TLS.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pvm_core.errors import InputError
from pvm_resources.settings import Network

#: Methods that change nothing (RFC 9110, section 9.2.1).
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: What `Sec-Fetch-Site` says of a request of our own pages, and of one that the user made: a typed address.
_OWN_SITES: Final = frozenset({"same-origin", "none"})
_PORTS: Final = {"http": 80, "https": 443}
#: An address in brackets, or a name or IPv4 address; then a port.
_AUTHORITY: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253}))(?::([0-9]{0,5}))?")


@dataclass(frozen=True)
class Authority:
    """A host and, where one was written, a port.

    Attributes:
        host: a name in lower case without its final dot, or an address in its shortest form, without
            brackets; an IPv4 address in IPv6 notation is the IPv4 one.
    """

    host: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Authority | None:
        """What a Host header names, such as ``[::1]:3000``; None where it names nothing usable."""
        found = _AUTHORITY.fullmatch(text)
        if found is None:
            return None
        bracketed, name, port = found.groups()
        try:
            host = _shortest(bracketed) if bracketed else _plain(name)
        except ValueError:
            return None
        return cls(host, int(port) if port else None) if host else None

    @property
    def loopback(self) -> bool:
        """True where only this machine is named: ``localhost``, 127.0.0.0/8, ``::1``."""
        return self.host == "localhost" or _is_loopback(self.host)


def _plain(name: str) -> str:
    name = name.removesuffix(".").lower()
    # As browsers do (WHATWG URL): a host that ends in a number is an IPv4 address or nothing.
    return str(ipaddress.IPv4Address(name)) if name.rpartition(".")[2].isdigit() else name


def _shortest(address: str) -> str:
    found = ipaddress.IPv6Address(address)
    return str(found.ipv4_mapped or found)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Hosts:
    """The names and addresses under which a server answers, besides those of this machine alone.

    A server that answered to any name would serve a page whose owner points its name at this machine (DNS
    rebinding), and the browser would take that page and this server for one.
    """

    names: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str, setting: str) -> Hosts:
        """The list written as ``pvm.example.org, 192.168.1.5, [fd00::1]``.

        Args:
            setting: the variable it stands in, for messages.

        Raises:
            InputError: ``settings.invalid``.
        """
        found = set()
        for part in filter(None, map(str.strip, text.split(","))):
            bare = f"[{part}]" if part.count(":") > 1 and not part.startswith("[") else part
            authority = Authority.parse(bare)
            if authority is None or authority.port is not None:
                raise InputError(
                    "settings.invalid",
                    setting,
                    f"{part!r} is not a host without port",
                    "Write it as in pvm.example.org, 192.168.1.5",
                )
            found.add(authority.host)
        return cls(frozenset(found))

    def allow(self, authority: Authority, arrived_at: str | None = None) -> bool:
        """Whether a request for that host is meant for this server.

        Args:
            arrived_at: the address of this machine on which the request arrived. A request for that very
                address is fine: no foreign page can be served from it.
        """
        if authority.loopback or authority.host in self.names:
            return True
        return arrived_at is not None and authority.host == _address(arrived_at)


@dataclass(frozen=True)
class Proxies:
    """The proxies whose forwarded headers are believed, by `networks_of`."""

    networks: tuple[Network, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.networks)

    def trust(self, peer: str | None) -> bool:
        """Whether a connection from that address is one of theirs."""
        try:
            address = ipaddress.ip_address(_address(peer or ""))
        except ValueError:
            return False
        return any(address in network for network in self.networks)


def _address(text: str) -> str:
    """An address as a socket states it, in the form of `Authority.host`; other text as it is."""
    try:
        return _shortest(text.partition("%")[0]) if ":" in text else str(ipaddress.IPv4Address(text))
    except ValueError:
        return text


def host_of(header: str) -> str | None:
    """The host that a Host header names, see `Authority.host`; None where it names none."""
    found = Authority.parse(header.strip())
    return found.host if found is not None else None


def is_foreign(method: str, headers: Mapping[str, str], allowed: Collection[str] = ()) -> bool:
    """Whether a page of another site caused a request that may change something, see `foreign_page`.

    Args:
        headers: by names in lower case.
        allowed: further origins that may, as ``https://shop.example.org``.
    """
    return method not in SAFE and is_foreign_socket(headers, allowed)


def is_foreign_socket(headers: Mapping[str, str], allowed: Collection[str] = ()) -> bool:
    """Whether a page of another site opens a websocket, which no rule of the browser keeps it from reading.

    Args:
        headers: by names in lower case.
        allowed: further origins that may.
    """
    if headers.get("origin") in allowed:
        return False
    host = Authority.parse(headers.get("host", ""))
    return host is None or foreign_page(headers, host) is not None


def foreign_page(headers: Mapping[str, str], host: Authority) -> str | None:
    """Why a request is one that a page of another site made; None where it is not.

    For methods outside `SAFE` and for the opening of websockets. A page under ``Referrer-Policy:
    no-referrer`` sends its own forms with ``Origin: null``: such forms pass by `Sec-Fetch-Site` alone, which
    browsers send to https and this machine only. Pages with forms want ``Referrer-Policy: same-origin``.

    Args:
        headers: by names in lower case.
        host: whom the request names, as the browser saw it.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return None if site in _OWN_SITES else f"the browser says that it comes from a {site} page"
    origin = headers.get("origin")
    if origin is None or _same(origin, host):
        return None
    return f"it comes from a page of {origin[:200]}"


def foreign_fetch(headers: Mapping[str, str]) -> bool:
    """Whether a page of another site embeds or fetches what is asked for, rather than links to it.

    For methods of `SAFE`; the resource isolation policy of Fetch Metadata (https://web.dev/articles/fetch-metadata).

    Args:
        headers: by names in lower case.
    """
    if headers.get("sec-fetch-site", "none") in _OWN_SITES:
        return False
    return (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) != ("navigate", "document")


def _same(origin: str, host: Authority) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    default = _PORTS.get(parts.scheme)
    found = Authority.parse(parts.netloc)
    if default is None or found is None:
        return False
    return found.host == host.host and (found.port or default) == (host.port or default)
