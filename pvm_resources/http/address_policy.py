"""Where requests may go: public http(s) servers, and what an allow list names besides.

A name is resolved once, every address it stands for is judged, and the connection goes to one of those very
addresses; the name stays in the Host header, in SNI and in the check of the certificate. So a name server
that answers otherwise a moment later gains nothing. The check sits where connections are made, below
redirects and connection reuse, so no request of a client can go around it.
"""

from __future__ import annotations

import ipaddress
import logging
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakSet

import httpcore
import httpx

from pvm_core.errors import InputError
from pvm_resources.http.addresses import Address, literal, plain, why_closed

#: (host, port) -> addresses as text; raises OSError (`socket.gaierror`) where there are none.
Resolver = Callable[[str, int], Sequence[str]]

_PORTS: Final = {"http": 80, "https": 443}
#: Names as they are in use (RFC 1123, section 2.1, and the underscore some services take).
_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*")
_OWN: Final = "Where it is a server of your own, name it in {setting}"
#: Idle connections are kept this long, seconds; servers close theirs after 5 (Apache) to 75 (nginx).
_KEEP_S: Final = 5.0
_log: Final = logging.getLogger("pvm.http")


class AddressError(InputError):
    """A URL or the address behind it is not allowed: ``fetch.url``, ``fetch.port``, ``fetch.address``."""


@dataclass(frozen=True)
class Target:
    """What a URL leads to.

    Attributes:
        host: lower case, ASCII (IDNA), without brackets and final dot.
    """

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class _Entry:
    """One entry of an allow list: a name or a network, on one port or on all."""

    name: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    port: int | None


@dataclass(frozen=True)
class AllowList:
    """The user's own servers, allowed although they are not public, or not on port 80 or 443."""

    entries: tuple[_Entry, ...] = ()
    setting: str = "PVM_FETCH_ALLOW"

    @classmethod
    def parse(cls, text: str, setting: str = "PVM_FETCH_ALLOW") -> AllowList:
        """The list written as ``localhost:8000, 10.1.0.0/16, [fd00::1]:9000, files.example``.

        A name admits what it resolves to; an address or a network admits itself under any name. Without a
        port, all ports.

        Args:
            setting: the variable it stands in, for messages.

        Raises:
            InputError: ``settings.invalid``.
        """
        parts = [part.strip() for part in text.split(",")]
        return cls(tuple(_entry(part, setting) for part in parts if part), setting)

    def names(self, target: Target) -> bool:
        """Whether the host is named, on that port."""
        return any(e.name == target.host and e.port in (None, target.port) for e in self.entries if e.name)

    def covers(self, address: Address, port: int) -> bool:
        """Whether the address lies in a network named, on that port."""
        return any(
            e.network is not None and address in e.network and e.port in (None, port) for e in self.entries
        )

    def opens(self, port: int) -> bool:
        """Whether some network is named for that port, so that only the address can decide."""
        return any(e.network is not None and e.port in (None, port) for e in self.entries)


def _entry(text: str, setting: str) -> _Entry:
    with suppress(ValueError):
        return _Entry("", ipaddress.ip_network(text.strip("[]")), None)
    host, port = text, None
    head, colon, tail = text.rpartition(":")
    if colon and tail.isascii() and tail.isdigit() and 0 < int(tail) < 65_536:
        host, port = head, int(tail)
    with suppress(ValueError):
        return _Entry("", ipaddress.ip_network(host.strip("[]")), port)
    try:
        name = target_of(f"http://{host}/").host
        if "/" in host or literal(name) is not None:
            raise ValueError
    except (AddressError, ValueError) as error:
        reason = f"{text!r} is neither host[:port] nor a network"
        raise InputError(
            "settings.invalid", setting, reason, "Write it as localhost:8000,10.1.0.0/16"
        ) from error
    return _Entry(name, None, port)


def target_of(url: str | httpx.URL) -> Target:
    """What the URL leads to.

    Raises:
        AddressError: ``fetch.url``: not http(s), no host, a user name in it, or no URL at all.
    """
    try:
        parts = httpx.URL(url)
        host = parts.raw_host.decode("ascii").rstrip(".").lower()
        # httpx decodes a name, and refuses a bad one, only when `host` is read.
        port = parts.port if parts.host else None
    except (httpx.InvalidURL, ValueError, UnicodeError, TypeError) as error:
        raise _bad_url(url, "it is no http(s) address") from error
    if parts.scheme not in _PORTS or not host:
        raise _bad_url(url, "it is no http(s) address")
    if ":" not in host and not _NAME.fullmatch(host):
        raise _bad_url(url, f"{host[:80]!r} is no name of a server")
    if parts.userinfo:
        raise _bad_url(url, "it carries a user name or password")
    if port is not None and not 0 < port < 65_536:
        raise _bad_url(url, f"there is no port {port}")
    return Target(parts.scheme, host, port or _PORTS[parts.scheme])


def _bad_url(url: str | httpx.URL, reason: str) -> AddressError:
    return AddressError("fetch.url", str(url)[:500], reason, "Give a plain http(s) address")


def resolve(host: str, port: int) -> list[str]:
    """Addresses of a name as the system resolves it.

    Raises:
        OSError: the name has none, or no name server answers.
    """
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class AddressPolicy:
    """Decides which addresses a connection may go to; safe to use from several threads."""

    def __init__(self, allow: AllowList, resolver: Resolver = resolve) -> None:
        self._allow = allow
        self._resolver = resolver

    def check(self, url: str | httpx.URL) -> Target:
        """What the URL leads to, as far as it can be judged without resolving a name.

        Raises:
            AddressError: ``fetch.url``, ``fetch.port``, ``fetch.address``.
        """
        target = target_of(url)
        standard = target.port in _PORTS.values()
        if not (standard or self._allow.names(target) or self._allow.opens(target.port)):
            reason = f"it asks for port {target.port}, and only 80 and 443 are asked"
            raise AddressError("fetch.port", str(url), reason, self._remedy())
        if (address := self._literal(target)) is not None:
            self._judge(target, [address])
        return target

    def addresses(self, target: Target, timeout: float | None) -> list[str]:
        """The addresses to connect to, each of them judged.

        Args:
            timeout: seconds the name servers have; None = as long as the system's own resolver waits.

        Raises:
            AddressError: ``fetch.address``, ``fetch.port``, ``fetch.url``.
            httpcore.ConnectError, httpcore.ConnectTimeout: the name does not resolve.
        """
        address = self._literal(target)
        found = [address] if address is not None else _resolved(self._resolver, target, timeout)
        self._judge(target, found)
        return list(dict.fromkeys(str(one) for one in found))

    def own(self, target: Target) -> bool:
        """Whether the allow list names the host, or the address it is written as."""
        if self._allow.names(target):
            return True
        with suppress(ValueError):
            address = literal(target.host)
            return address is not None and self._allow.covers(address, target.port)
        return False

    def _literal(self, target: Target) -> Address | None:
        try:
            address = literal(target.host)
        except ValueError as error:
            raise AddressError("fetch.url", str(target), str(error), "Give the server's name") from error
        if address is not None and not plain(address, target.host):
            what = why_closed(address)
            reason = f"{target.host} is another way to write {address}" + (f", {what}" if what else "")
            code = "fetch.address" if what else "fetch.url"
            raise AddressError(code, str(target), reason, "Write the address in the usual way")
        return address

    def _judge(self, target: Target, found: Iterable[Address]) -> None:
        """One closed address among a name's addresses refuses the name: any of them may be used."""
        named = self._allow.names(target)
        written = ":" in target.host or target.host.replace(".", "").isdigit()
        for address in found:
            if named or self._allow.covers(address, target.port):
                continue
            if (what := why_closed(address)) is not None:
                reason = f"{target.host} is {what}"
                if not written:
                    # What a name stands for inside this network is nothing for whoever named it.
                    _log.info("%s is %s, %s", target.host, what, address)
                    reason = f"{target.host} leads to an address that is not public"
                raise AddressError("fetch.address", str(target), reason, self._remedy())
            if target.port not in _PORTS.values():
                reason = f"it asks for port {target.port}, and only 80 and 443 are asked"
                raise AddressError("fetch.port", str(target), reason, self._remedy())

    def _remedy(self) -> str:
        return _OWN.format(setting=self._allow.setting)


def _resolved(resolver: Resolver, target: Target, timeout: float | None) -> list[Address]:
    answer: queue.SimpleQueue[Sequence[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def run() -> None:
        try:
            answer.put(resolver(target.host, target.port))
        except (OSError, UnicodeError) as error:
            answer.put(error)

    # The system's resolver takes no deadline; a thread that is left behind ends with its answer.
    threading.Thread(target=run, name="resolve", daemon=True).start()
    try:
        found = answer.get(timeout=timeout)
    except queue.Empty as error:
        raise httpcore.ConnectTimeout(f"no name server answers for {target.host}") from error
    if isinstance(found, OSError | UnicodeError):
        raise httpcore.ConnectError(f"the name {target.host} does not resolve") from found
    if not found:
        raise httpcore.ConnectError(f"the name {target.host} does not resolve")
    return [ipaddress.ip_address(text.split("%")[0]) for text in found]


class Deadline:
    """The end of a request, with name resolution, headers and body.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left; negative once it is over."""
        return self._at - time.monotonic()

    def extend(self, seconds: float) -> None:
        """Moves it by time that the server did not cause."""
        self._at += seconds


class _Clock(threading.local):
    """The deadline of the request that the current thread works on."""

    deadline: Deadline | None = None

    def left(self, timeout: float | None, expired: type[Exception]) -> float | None:
        if self.deadline is None:
            return timeout
        left = self.deadline.left
        if left <= 0:
            raise expired("the time for the whole request is over")
        return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    """A connection that keeps the whole request's deadline, however small the pieces it comes in."""

    def __init__(self, stream: httpcore.NetworkStream, clock: _Clock) -> None:
        self._stream = stream
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._clock.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._clock.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._clock.left(timeout, httpcore.ConnectTimeout)
        # In place: `cut` must reach the socket that the connection reads from.
        self._stream = self._stream.start_tls(ssl_context, server_hostname, left)
        return self

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def cut(self) -> None:
        """Ends the connection under a thread that waits for it."""
        with suppress(OSError, AttributeError):
            self.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


class _Backend(httpcore.NetworkBackend):
    """Connects to addresses that the policy allows, and to no others."""

    def __init__(self, policy: AddressPolicy) -> None:
        self.clock = _Clock()
        self._policy = policy
        self._plain = httpcore.SyncBackend()
        self._open: WeakSet[_Stream] = WeakSet()
        self._lock = threading.Lock()
        self._cut = False

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        target = Target("https" if port == 443 else "http", host.strip("[]").rstrip(".").lower(), port)
        addresses = self._policy.addresses(target, self.clock.left(timeout, httpcore.ConnectTimeout))
        fault: Exception | None = None
        for address in addresses:
            left = self.clock.left(timeout, httpcore.ConnectTimeout)
            try:
                stream = self._plain.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                fault = fault or error
                continue
            return self._kept(_Stream(stream, self.clock))
        assert fault is not None
        raise fault

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Any = None
    ) -> httpcore.NetworkStream:
        raise AddressError(
            "fetch.address", path, "it is no server of the web", "Give a plain http(s) address"
        )

    def _kept(self, stream: _Stream) -> _Stream:
        with self._lock:
            self._open.add(stream)
            if self._cut:
                stream.cut()
        return stream

    def cut(self) -> None:
        """Ends every connection, now and from now on."""
        with self._lock:
            self._cut = True
            for stream in self._open:
                stream.cut()


class PinnedTransport(httpx.HTTPTransport):
    """For ``httpx.Client(transport=...)``: connects to public servers and what `allow` names, no others.

    Every request is judged, redirected ones too. Proxies of the environment are not used: a proxy resolves
    names itself, out of reach of the check. A request's ``extensions={"deadline": Deadline(s)}`` ends it
    then with httpx's timeouts, however small the pieces it comes in.

    Args:
        allow: exceptions; default none.
        resolver: how names are resolved.
        ssl_context: default httpx's, with certificates checked.
        max_connections: open at once; further requests wait.

    Requests raise `AddressError` (``fetch.url``, ``fetch.port``, ``fetch.address``) beside what httpx raises.
    """

    def __init__(
        self,
        allow: AllowList | None = None,
        *,
        resolver: Resolver = resolve,
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int = 100,
    ) -> None:
        limits = httpx.Limits(max_connections=max_connections, keepalive_expiry=_KEEP_S)
        super().__init__(verify=ssl_context or httpx.create_ssl_context(), trust_env=False, limits=limits)
        self.policy = AddressPolicy(allow or AllowList(), resolver)
        self._backend = _Backend(self.policy)
        # httpcore's documented seam, for which httpx has no argument.
        self._pool._network_backend = self._backend

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends the request to a judged address.

        Raises:
            AddressError: it is not allowed.
            httpx.TransportError: what httpx raises.
        """
        self.policy.check(request.url)
        clock, deadline = self._backend.clock, request.extensions.get("deadline")
        with _until(clock, deadline):
            response = super().handle_request(request)
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Body(response.stream, clock, deadline)
        return response

    def cut(self) -> None:
        """Ends all connections under the threads that wait for them; the transport is of no use then."""
        self._backend.cut()


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, clock: _Clock, deadline: Deadline | None) -> None:
        self._stream = stream
        self._clock = clock
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        pieces = iter(self._stream)
        while True:
            with _until(self._clock, self._deadline):
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    def close(self) -> None:
        self._stream.close()


@contextmanager
def _until(clock: _Clock, deadline: Deadline | None) -> Iterator[None]:
    before, clock.deadline = clock.deadline, deadline
    try:
        yield
    finally:
        clock.deadline = before
