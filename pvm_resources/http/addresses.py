"""Addresses: which are public, what the others are, and every way of writing one.

The tables are IANA's special-purpose registries (iana.org/assignments/iana-ipv4-special-registry and
iana-ipv6-special-registry, RFC 6890) written out, because `ipaddress.is_global` follows them only as far as
the Python at hand is new.
"""

from __future__ import annotations

import ipaddress
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

#: First match decides; the narrow stands before the wide.
_CLOSED_V4: Final = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "an address of this machine"),
        ("127.0.0.0/8", "an address of this machine"),
        ("169.254.169.254/32", "the metadata service of a cloud"),
        ("169.254.0.0/16", "a link-local address"),
        ("100.100.100.200/32", "the metadata service of a cloud"),
        ("100.64.0.0/10", "an address of a carrier's inner network"),
        ("10.0.0.0/8", "an address of a private network"),
        ("172.16.0.0/12", "an address of a private network"),
        ("192.168.0.0/16", "an address of a private network"),
        ("192.0.0.0/24", "an address reserved for protocols"),
        ("192.0.2.0/24", "an address for documentation"),
        ("198.51.100.0/24", "an address for documentation"),
        ("203.0.113.0/24", "an address for documentation"),
        ("192.88.99.0/24", "a relay address (6to4)"),
        ("198.18.0.0/15", "an address for benchmarks"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved or broadcast address"),
    )
)
_CLOSED_V6: Final = tuple(
    (IPv6Network(network), what)
    for network, what in (
        ("::/128", "an address of this machine"),
        ("::1/128", "an address of this machine"),
        ("fd00:ec2::254/128", "the metadata service of a cloud"),
        ("fc00::/7", "an address of a private network"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "an address of a private network"),
        ("ff00::/8", "a multicast address"),
        ("64:ff9b:1::/48", "a translation address of a private network (NAT64)"),
        ("2001::/32", "a tunnel address (Teredo)"),
        ("2002::/16", "a tunnel address (6to4)"),
        ("2001:db8::/32", "an address for documentation"),
        ("3fff::/20", "an address for documentation"),
        ("2001::/23", "an address reserved for protocols"),
    )
)
#: Nothing outside it is given to servers (RFC 4291, section 2.4, as allocated today).
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
#: The parts of a dotted address as `inet_aton` and browsers read them: decimal, octal, hexadecimal.
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")


def why_closed(address: Address) -> str | None:
    """What the address is, where it is not a public one: "an address of a private network"; else None.

    An IPv6 address that stands for an IPv4 one (mapped, NAT64) is what that one is. Tunnels (6to4, Teredo)
    are closed whatever they carry.
    """
    if isinstance(address, IPv6Address) and (within := _carried(address)) is not None:
        what = why_closed(within)
        return f"{what} ({within})" if what else None
    if isinstance(address, IPv4Address):
        return next((what for network, what in _CLOSED_V4 if address in network), None)
    what = next((what for network, what in _CLOSED_V6 if address in network), None)
    return what or (None if address in _GLOBAL_V6 else "an address no public server has")


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    # RFC 6052: in the last 32 bits.
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


def literal(host: str) -> Address | None:
    """The address that `host` is, in whatever notation; None where it is a name.

    Hosts are read as browsers read them (WHATWG URL, "ends in a number"): ``127.1``, ``0x7f000001``,
    ``017700000001`` and ``2130706433`` are all 127.0.0.1.

    Args:
        host: without brackets, lower case, without a final dot.

    Raises:
        ValueError: it can only be an address, and is none: ``1.2.3.4.5``, ``256.1.1.1``, a zone id.
    """
    if ":" in host:
        if "%" in host:
            raise ValueError("it has a zone id")
        return IPv6Address(host)
    last = host.rsplit(".", 1)[-1]
    if not (last.isdigit() or last.startswith("0x")):
        return None
    return _dotted(host)


def _dotted(host: str) -> IPv4Address:
    numbers = [_number(part) for part in host.split(".")]
    *heads, tail = numbers
    if len(numbers) > 4 or any(n > 255 for n in heads) or tail >= 256 ** (5 - len(numbers)):
        raise ValueError("it is no IPv4 address")
    value = tail + sum(n << 8 * (3 - place) for place, n in enumerate(heads))
    return IPv4Address(value)


def _number(text: str) -> int:
    # Python's int() also takes underscores, blanks and other scripts' digits.
    if not text.isascii() or not _NUMBER.fullmatch(text):
        raise ValueError("it is no IPv4 address")
    if text[:2].lower() == "0x":
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)


def plain(address: Address, host: str) -> bool:
    """Whether `host` writes the address in the usual way."""
    try:
        return ipaddress.ip_address(host) == address
    except ValueError:
        return False
