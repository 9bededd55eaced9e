"""Limits of the requests to one server: at once, requests per second, pauses, and a circuit breaker.

The rate is a token bucket of its own, not one of the library `limits` (5.8, tried): that one's windows last
whole seconds, so 40 requests may begin at once where the bucket lets 6, and they are counted by the wall
clock, so that a clock set back by an hour stops all downloads for an hour.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

#: Above so many servers, those without any state worth keeping are dropped.
_REMEMBERED: Final = 1_000


@dataclass(frozen=True)
class HostLimits:
    """Limits of the requests to one server.

    Attributes:
        concurrency: requests at once. Default 6: what Chrome and Firefox open to one HTTP/1.1 server.
        per_second: requests begun per second, after a burst of `concurrency`; None = no limit. Default 40.
            eBay and Amazon publish no limit for their picture servers; one browser that opens a page of
            search results asks them for more.
        rest_s: seconds without requests after `concurrency` consecutive failures (no connection, too slow,
            too many requests); doubled each further time.
        max_consecutive_failures: failures after which the circuit opens. Default 24: four rests, so a server
            that restarts within some seconds loses no download.
        circuit_open_s: seconds for which it stays open; downloads fail at once.
    """

    concurrency: int = 6
    per_second: float | None = 40.0
    rest_s: float = 1.0
    max_consecutive_failures: int = 24
    circuit_open_s: float = 30.0


#: A server named in the allow list is the user's own: as many requests as there are threads.
OWN_HOST: Final = HostLimits(concurrency=16, per_second=None, max_consecutive_failures=64)


@dataclass
class _Host:
    limits: HostLimits
    tokens: float
    filled_at: float
    running: int = 0
    free_at: float = 0.0
    open_until: float = 0.0
    why: tuple[str, str] = ("", "")
    consecutive_failures: int = 0

    def refill(self, now: float) -> None:
        if self.limits.per_second is not None:
            grown = self.tokens + (now - self.filled_at) * self.limits.per_second
            self.tokens = min(float(self.limits.concurrency), grown)
        self.filled_at = now

    def open_circuit(self, until: float, kind: str, why: str) -> None:
        self.open_until, self.why = max(self.open_until, until), (kind, why)

    def idle(self, now: float) -> bool:
        self.refill(now)
        full = self.limits.per_second is None or self.tokens >= self.limits.concurrency
        closed = max(self.free_at, self.open_until) <= now
        return self.running == 0 and full and not self.consecutive_failures and closed


class HostThrottle:
    """The state of all servers, shared by every download of a fetcher; safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    def try_acquire(self, key: str, limits: HostLimits) -> float | None:
        """None where a request may begin now (`release` ends it), else seconds after which to ask again:
        infinite where a request must end first."""
        with self._lock:
            now = self._clock()
            host = self._host(key, limits, now)
            if host.free_at > now:
                return host.free_at - now
            if host.running >= limits.concurrency:
                return math.inf
            host.refill(now)
            if limits.per_second is not None:
                if host.tokens < 1:
                    return (1 - host.tokens) / limits.per_second
                host.tokens -= 1
            host.running += 1
            return None

    def release(self, key: str, *, answered: bool = True) -> None:
        """Ends a request, which had an answer or failed."""
        with self._lock:
            host, limits = self._hosts[key], self._hosts[key].limits
            host.running -= 1
            host.consecutive_failures = failures = 0 if answered else host.consecutive_failures + 1
            if failures >= limits.max_consecutive_failures:
                why = f"{failures} tries in a row had no answer"
                host.open_circuit(self._clock() + limits.circuit_open_s, "unreachable", why)
                host.consecutive_failures = 0
            elif failures and failures % limits.concurrency == 0:
                rest = limits.rest_s * 2.0 ** (failures // limits.concurrency - 1)
                host.free_at = max(host.free_at, self._clock() + rest)

    def pause(self, key: str, seconds: float) -> None:
        """No request begins for so long; those that wait go on waiting."""
        with self._lock:
            if (host := self._hosts.get(key)) is not None:
                host.free_at = max(host.free_at, self._clock() + seconds)

    def open_circuit(self, key: str, seconds: float, kind: str, why: str) -> None:
        """No request begins for so long, and `circuit_open` gives the kind of fault and why."""
        with self._lock:
            if (host := self._hosts.get(key)) is not None:
                host.open_circuit(self._clock() + seconds, kind, why)

    def circuit_open(self, key: str) -> tuple[float, str, str] | None:
        """Seconds for which the circuit stays open, the kind of fault, and why; None where it is closed."""
        with self._lock:
            host = self._hosts.get(key)
            left = host.open_until - self._clock() if host is not None else 0.0
            return (left, *host.why) if host is not None and left > 0 else None

    def _host(self, key: str, limits: HostLimits, now: float) -> _Host:
        if (host := self._hosts.get(key)) is not None:
            return host
        if len(self._hosts) >= _REMEMBERED:
            self._hosts = {k: h for k, h in self._hosts.items() if not h.idle(now)}
        self._hosts[key] = _Host(limits, float(limits.concurrency), now)
        return self._hosts[key]
