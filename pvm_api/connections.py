"""Connections under limits: a time for headers, a rate for bodies, a number for each address.

Uvicorn limits none of these (its documentation leaves slow clients to a proxy in front). The times and rates
are those of Apache's mod_reqtimeout and nginx's ``send_timeout``.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from pvm_api.origin import Proxies
from pvm_resources.settings import Network, networks_of

#: Connections held at once, where the limit of open files allows them.
_TOTAL: Final = 800
#: Of the open files of this process, the share that connections may take; the database and files need theirs.
_SHARE: Final = 0.75
#: Bytes of a message that a caller sends over a websocket; seconds between two pings, and for their answer.
_MESSAGE_MAX: Final = 4_096
_PING_S: Final = 20.0
_REFUSAL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
)


@dataclass(frozen=True)
class ConnectionLimits:
    """What one connection, one address and all of them may take.

    Attributes:
        head_s: seconds from the first moment to the end of a request's headers.
        body_s, body_bytes: a body's bytes that must come in each such span of seconds.
        write_s: seconds that a caller may leave an answer unread.
        per_address: connections of one address; those of a trusted proxy are not counted.
        total: connections at once.
    """

    head_s: float = 10.0
    body_s: float = 20.0
    body_bytes: int = 10_000
    write_s: float = 60.0
    per_address: int = 100
    total: int = _TOTAL


def limits_here() -> ConnectionLimits:
    """The limits, within the open files that this process may have."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ConnectionLimits(total=_TOTAL if files < 0 else min(_TOTAL, int(files * _SHARE)))


class _Addresses:
    """How many connections each address holds.

    Args:
        proxies: trusted ones, whose connections are those of many callers and not counted.
    """

    def __init__(self, most: int, proxies: Sequence[Network]) -> None:
        self._most = most
        self._trusted = Proxies(tuple(proxies))
        self._held: Counter[str] = Counter()

    def take(self, address: str) -> tuple[str | None, bool]:
        """What to give back with the connection's end, and whether the address holds too many."""
        if self._trusted.trust(address):
            return None, False
        full = self._held[address] >= self._most
        self._held[address] += 1
        return address, full

    def give_back(self, address: str | None) -> None:
        """A connection has ended."""
        if address is not None:
            self._held[address] -= 1
            if not self._held[address]:
                del self._held[address]


class _WriteTimer:
    """Ends a connection whose caller leaves an answer unread."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def start(self, transport: asyncio.Transport) -> None:
        """What was written waits for the caller."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, transport.abort)

    def stop(self) -> None:
        """The caller reads, or is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def limited_protocols(
    limits: ConnectionLimits, proxies: Sequence[Network]
) -> tuple[type[H11Protocol], type[WebSocketsSansIOProtocol]]:
    """Uvicorn's protocols for HTTP/1.1 and websockets under these limits, for its settings ``http``, ``ws``.

    Args:
        proxies: trusted ones, whose connections are those of many callers.
    """
    addresses = _Addresses(limits.per_address, proxies)
    return _limited_http(limits, addresses), _limited_socket(limits, addresses)


def _limited_socket(limits: ConnectionLimits, addresses: _Addresses) -> type[WebSocketsSansIOProtocol]:
    """It begins as a request under the limits of HTTP; from then on, pings end a caller who is gone."""

    class LimitedSocket(WebSocketsSansIOProtocol):
        _counted: str | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self._writing = _WriteTimer(limits.write_s)
            self._counted, _ = addresses.take(self.client[0] if self.client else "")

        def connection_lost(self, exc: Exception | None) -> None:
            self._writing.stop()
            addresses.give_back(self._counted)
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._writing.start(self.transport)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._writing.stop()

    return LimitedSocket


def _limited_http(limits: ConnectionLimits, addresses: _Addresses) -> type[H11Protocol]:
    class Limited(H11Protocol):
        _timer: asyncio.TimerHandle | None = None
        _waited_for: Callable[[], None] | None = None
        _counted: str | None = None
        _arrived = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._writing = _WriteTimer(limits.write_s)
            self._counted, full = addresses.take(self.client[0] if self.client else "")
            if full or len(self.connections) > limits.total:
                transport.write(_REFUSAL)
                transport.close()
            else:
                self._watch(limits.head_s, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self._let_go()
            self.resume_writing()
            super().connection_lost(exc)

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            # The connection goes on under the websocket's protocol, which counts it anew.
            super().handle_websocket_upgrade(event)
            self._let_go()

        def _let_go(self) -> None:
            self._unwatch()
            self._writing.stop()
            addresses.give_back(self._counted)
            self._counted = None

        def data_received(self, data: bytes) -> None:
            self._arrived += len(data)
            super().data_received(data)
            if self.transport.get_protocol() is self:
                self._rewatch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._rewatch()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._writing.start(self.transport)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._writing.stop()

        # What is waited for: a request's headers, its body, or nothing of the caller's.

        def _rewatch(self) -> None:
            if self.transport.is_closing():
                return
            if self.cycle is not None and not self.cycle.response_complete:
                if self.cycle.more_body:
                    self._start_body()
                else:
                    self._unwatch()
            elif self.timeout_keep_alive_task is None:
                self._watch(limits.head_s, self._give_up)
            else:
                self._unwatch()

        def _start_body(self) -> None:
            if self._waited_for != self._check_body:
                self._unwatch()
                self._arrived = 0
                self._watch(limits.body_s, self._check_body)

        def _check_body(self) -> None:
            # Where we do not read, the caller cannot be slow.
            if self._arrived < limits.body_bytes and not self.flow.read_paused:
                self._give_up()
                return
            self._arrived, self._timer = 0, None
            self._watch(limits.body_s, self._check_body)

        def _watch(self, seconds: float, then: Callable[[], None]) -> None:
            if self._timer is None or self._waited_for != then:
                self._unwatch()
                self._waited_for = then
                self._timer = self.loop.call_later(seconds, then)

        def _unwatch(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._waited_for = None, None

        def _give_up(self) -> None:
            self._unwatch()
            if not self.transport.is_closing():
                self.transport.close()

    return Limited


def server_options(limits: ConnectionLimits, proxies: str) -> dict[str, Any]:
    """Uvicorn's settings that keep these limits and trust these proxies alone.

    Args:
        proxies: addresses and networks, comma-separated.
    """
    http, socket = limited_protocols(limits, networks_of(proxies))
    return {
        "http": http,
        "ws": socket,
        # The API's websockets only send: no message of a caller is read, and none is worth compressing.
        "ws_max_size": _MESSAGE_MAX,
        "ws_per_message_deflate": False,
        "ws_ping_interval": _PING_S,
        "ws_ping_timeout": _PING_S,
        "proxy_headers": bool(proxies),
        # Named, so that uvicorn's own variable FORWARDED_ALLOW_IPS is not read.
        "forwarded_allow_ips": proxies,
    }
