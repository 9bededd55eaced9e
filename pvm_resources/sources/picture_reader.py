"""Reading a picture's bytes from a file or an http(s) URL, within limits."""

from __future__ import annotations

import ipaddress
import socket
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from stat import S_ISREG
from typing import Final, Protocol

import httpx

from pvm_core.errors import MediaError
from pvm_resources.sources.base import PictureRef

_USER_AGENT: Final = "product-video-matching/0.1"
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
#: Answers that may be others later (RFC 9110; 429 RFC 6585).
_RETRYABLE: Final = frozenset((408, 425, 429, 500, 502, 503, 504))
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class ReadLimits:
    """What reading one picture may cost.

    Attributes:
        max_bytes: counted while reading, whatever a header says.
        connect_s, read_s: seconds to connect, and between two pieces of the answer.
        total_s: seconds for all of it, redirects included.
        max_redirects: redirects followed.
        allow_private: addresses of this machine and of private networks may be asked; for tests and for a
            catalogue server of one's own.
    """

    max_bytes: int = 15_000_000
    connect_s: float = 10.0
    read_s: float = 15.0
    total_s: float = 60.0
    max_redirects: int = 3
    allow_private: bool = False


class WebFetcher(Protocol):
    """Gets the bytes behind a URL; the seam at which another fetcher is put in."""

    def get(self, url: str) -> bytes:
        """The bytes.

        Raises:
            MediaError: it cannot be had; `retryable` says whether later may be better.
        """
        ...


class Pictures:
    """Reads pictures from files and, through `web`, from URLs; safe to use from several threads."""

    def __init__(self, limits: ReadLimits | None = None, web: WebFetcher | None = None) -> None:
        self._limits = limits or ReadLimits()
        self._web = web or SimpleFetcher(self._limits)

    def read(self, picture: PictureRef) -> bytes:
        """The picture's bytes.

        Raises:
            MediaError: ``picture.missing``, ``picture.unreadable``, ``picture.too_large``, and for a URL what
                `SimpleFetcher.get` raises.
        """
        if picture.path is None:
            return self._web.get(picture.ref)
        return _read_file(picture.path, picture.ref, self._limits.max_bytes)

    def fingerprint(self, picture: PictureRef) -> str | None:
        """Size and time of change of a file; None for a URL, or where the file is not there."""
        if picture.path is None:
            return None
        try:
            stat = picture.path.stat()
        except (OSError, ValueError):
            return None
        return f"{stat.st_size}-{stat.st_mtime_ns}"


def _read_file(path: Path, subject: str, max_bytes: int) -> bytes:
    try:
        stat = path.stat()
        if not S_ISREG(stat.st_mode):
            raise MediaError(
                "picture.type", subject, "it is a folder or a device, not a file", "Name a picture"
            )
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise MediaError("picture.missing", subject, "there is no such file", "Check the path") from error
    except (OSError, ValueError) as error:
        reason = f"it cannot be read ({getattr(error, 'strerror', None) or error})"
        raise MediaError("picture.unreadable", subject, reason, "Check its name and permissions") from error
    if len(data) > max_bytes:
        raise _too_large(subject, max_bytes)
    return data


def _too_large(subject: str, max_bytes: int) -> MediaError:
    reason = f"more than the {max_bytes:,} bytes allowed"
    return MediaError("picture.too_large", subject, reason, "Give a smaller picture")


class SimpleFetcher:
    """GET with limits: one address resolved, checked and connected to, redirects followed by hand.

    Proxies of the environment are not used: a proxy resolves names itself, out of reach of the check.
    """

    def __init__(self, limits: ReadLimits | None = None) -> None:
        self._limits = limits or ReadLimits()

    def __getstate__(self) -> dict[str, object]:
        # Connections stay with the process that opened them.
        return {"_limits": self._limits}

    @cached_property
    def _client(self) -> httpx.Client:
        limits = self._limits
        timeout = httpx.Timeout(limits.read_s, connect=limits.connect_s)
        headers = {"User-Agent": _USER_AGENT, "Accept": "image/*,*/*;q=0.1", "Accept-Encoding": "identity"}
        return httpx.Client(timeout=timeout, headers=headers, follow_redirects=False, trust_env=False)

    def get(self, url: str) -> bytes:
        """The bytes behind an http(s) URL.

        Raises:
            MediaError: ``picture.url``, ``picture.address`` (private), ``picture.redirect``,
                ``picture.http`` (status), ``picture.too_large``, ``picture.timeout``,
                ``picture.unreachable``.
        """
        deadline = time.monotonic() + self._limits.total_s
        target = url
        try:
            for _ in range(self._limits.max_redirects + 1):
                answer = self._once(url, target, deadline)
                if isinstance(answer, bytes):
                    return answer
                target = answer
        except httpx.TimeoutException as error:
            raise self._timeout(url) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            reason = f"the server cannot be reached ({error or type(error).__name__})"
            raise MediaError(
                "picture.unreachable", url, reason, "Check the address and the network", retryable=True
            ) from error
        reason = f"it redirects more than {self._limits.max_redirects} times"
        raise MediaError("picture.redirect", url, reason, "Give the picture's own address")

    def _once(self, subject: str, target: str, deadline: float) -> bytes | str:
        """The body, or the address redirected to."""
        request = self._request(subject, target)
        response = self._client.send(request, stream=True)
        try:
            if response.status_code in _REDIRECTS:
                return self._next(subject, target, response)
            if response.status_code != 200:
                raise _refused(subject, response.status_code)
            return self._body(subject, response, deadline)
        finally:
            response.close()

    def _request(self, subject: str, target: str) -> httpx.Request:
        parts = _parsed(subject, target)
        address = self._address(subject, parts)
        pinned = parts.copy_with(host=address)
        host = parts.netloc.decode("ascii")
        return self._client.build_request(
            "GET", pinned, headers={"Host": host}, extensions={"sni_hostname": parts.raw_host.decode("ascii")}
        )

    def _address(self, subject: str, parts: httpx.URL) -> str:
        """The address the name stands for; all of a name's addresses must be public."""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = socket.getaddrinfo(parts.raw_host.decode("ascii"), port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]).split("%")[0] for entry in found]
        if not self._limits.allow_private:
            for address in addresses:
                if not _is_public(address):
                    reason = f"{parts.host} is an address of a private network ({address})"
                    raise MediaError("picture.address", subject, reason, "Give a public address or a file")
        return addresses[0]

    def _next(self, subject: str, target: str, response: httpx.Response) -> str:
        location = response.headers.get("location", "")
        if not location:
            raise MediaError("picture.redirect", subject, "it redirects to nowhere", "Check the address")
        return str(httpx.URL(target).join(location))

    def _body(self, subject: str, response: httpx.Response, deadline: float) -> bytes:
        declared = response.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._limits.max_bytes:
            raise _too_large(subject, self._limits.max_bytes)
        pieces: list[bytes] = []
        size = 0
        for piece in response.iter_raw():
            size += len(piece)
            if size > self._limits.max_bytes:
                raise _too_large(subject, self._limits.max_bytes)
            if time.monotonic() > deadline:
                raise self._timeout(subject)
            pieces.append(piece)
        return b"".join(pieces)

    def _timeout(self, subject: str) -> MediaError:
        return MediaError(
            "picture.timeout", subject, "the server takes too long", "Try again later", retryable=True
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _parsed(subject: str, target: str) -> httpx.URL:
    try:
        parts = httpx.URL(target)
        usable = parts.scheme in ("http", "https") and bool(parts.host) and not parts.userinfo
    except (httpx.InvalidURL, ValueError, UnicodeError):
        usable = False
    if not usable:
        code = "picture.url" if target == subject else "picture.redirect"
        what = "it is" if target == subject else "it redirects to what is"
        raise MediaError(code, subject, f"{what} no http(s) address", "Give the picture's own address")
    return parts


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    within = _carried(parsed) if isinstance(parsed, ipaddress.IPv6Address) else None
    target = within or parsed
    return target.is_global and not target.is_multicast


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: mapped, 6to4, or NAT64 (RFC 6052)."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _refused(subject: str, status: int) -> MediaError:
    remedies = {401: "needs a login", 403: "is refused", 404: "is not there", 410: "is gone"}
    reason = f"the server answers {status}" + (
        f": the picture {remedies[status]}" if status in remedies else ""
    )
    return MediaError("picture.http", subject, reason, "Check the address", retryable=status in _RETRYABLE)
