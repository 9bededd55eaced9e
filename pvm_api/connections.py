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

from uvicorn.protocols.http.h11_impl import H11Protocol

from pvm_api.origin import Proxies
from pvm_resources.settings import Network, networks_of

#: Connections held at once, where the limit of open files allows them.
_TOTAL: Final = 800
#: Of the open files of this process, the share that connections may take; the database and files need theirs.
_SHARE: Final = 0.75
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


def limited_protocol(limits: ConnectionLimits, proxies: Sequence[Network]) -> type[H11Protocol]:
    """Uvicorn's protocol for HTTP/1.1 under these limits, for its setting ``http``.

    Args:
        proxies: trusted ones, whose connections are those of many callers.
    """
    held: Counter[str] = Counter()
    trusted = Proxies(tuple(proxies))

    class Limited(H11Protocol):
        _timer: asyncio.TimerHandle | None = None
        _waited_for: Callable[[], None] | None = None
        _writer: asyncio.TimerHandle | None = None
        _counted: str | None = None
        _arrived = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            address = self.client[0] if self.client else ""
            full = len(self.connections) > limits.total
            if not full and not trusted.trust(address):
                full = held[address] >= limits.per_address
                self._counted = address
                held[address] += 1
            if full:
                transport.write(_REFUSAL)
                transport.close()
            else:
                self._watch(limits.head_s, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch()
            self.resume_writing()
            if self._counted is not None:
                held[self._counted] -= 1
                if not held[self._counted]:
                    del held[self._counted]
                self._counted = None
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._arrived += len(data)
            super().data_received(data)
            self._rewatch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._rewatch()

        def pause_writing(self) -> None:
            super().pause_writing()
            if self._writer is None:
                self._writer = self.loop.call_later(limits.write_s, self._abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._writer is not None:
                self._writer.cancel()
                self._writer = None

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

        def _abort(self) -> None:
            self._writer = None
            self.transport.abort()

    return Limited


def server_options(limits: ConnectionLimits, proxies: str) -> dict[str, Any]:
    """Uvicorn's settings that keep these limits and trust these proxies alone.

    Args:
        proxies: addresses and networks, comma-separated.
    """
    return {
        "http": limited_protocol(limits, networks_of(proxies)),
        # The API has no websockets; an upgrade would leave the limits behind.
        "ws": "none",
        "proxy_headers": bool(proxies),
        # Named, so that uvicorn's own variable FORWARDED_ALLOW_IPS is not read.
        "forwarded_allow_ips": proxies,
    }
