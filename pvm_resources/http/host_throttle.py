"""How much one server is asked: requests at once, requests per second, pauses it asked for."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

#: Servers of which nothing is known any more are forgotten from here on.
_REMEMBERED: Final = 1_000


@dataclass(frozen=True)
class HostLimits:
    """What one server is asked.

    Attributes:
        concurrency: requests at once. Default 6: what Chrome and Firefox open to one HTTP/1.1 server.
        per_second: requests begun per second, after a burst of `concurrency`; None = no limit. Default 40.
            eBay and Amazon publish no limit for their picture servers; one browser that opens a page of
            search results asks them for more.
        rest_s: seconds a server rests after `concurrency` tries in a row without an answer (no connection,
            too slow, too many requests); twice as long each further time.
        deaf: tries in a row without an answer after which it counts as down. Default 24: four rests, so a
            server that restarts within some seconds loses no download.
        down_s: seconds it is left alone then; its downloads fail at once.
    """

    concurrency: int = 6
    per_second: float | None = 40.0
    rest_s: float = 1.0
    deaf: int = 24
    down_s: float = 30.0


#: A server named in the allow list is the user's own: as many requests as there are threads.
OWN: Final = HostLimits(concurrency=16, per_second=None, deaf=64)


@dataclass
class _Host:
    limits: HostLimits
    tokens: float
    filled: float
    running: int = 0
    free_at: float = 0.0
    shut_until: float = 0.0
    why: tuple[str, str] = ("", "")
    deaf: int = 0

    def refill(self, now: float) -> None:
        if self.limits.per_second is not None:
            grown = self.tokens + (now - self.filled) * self.limits.per_second
            self.tokens = min(float(self.limits.concurrency), grown)
        self.filled = now

    def idle(self, now: float) -> bool:
        self.refill(now)
        full = self.limits.per_second is None or self.tokens >= self.limits.concurrency
        return self.running == 0 and full and not self.deaf and max(self.free_at, self.shut_until) <= now


class Hosts:
    """The state of all servers, shared by every download of a fetcher; safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hosts: dict[str, _Host] = {}
        self._changed = threading.Condition()

    def try_enter(self, key: str, limits: HostLimits) -> float | None:
        """None where a request may begin now (`leave` ends it), else seconds after which to ask again:
        infinite where a request must end first."""
        with self._changed:
            return self._try(key, limits)

    def enter(self, key: str, limits: HostLimits) -> None:
        """Waits until a request may begin; `leave` ends it."""
        with self._changed:
            while (wait := self._try(key, limits)) is not None:
                self._changed.wait(None if math.isinf(wait) else wait)

    def _try(self, key: str, limits: HostLimits) -> float | None:
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

    def leave(self, key: str, *, answered: bool = True) -> None:
        """A request has ended, with an answer or without."""
        with self._changed:
            host = self._hosts[key]
            host.running -= 1
            host.deaf = 0 if answered else host.deaf + 1
            if host.deaf >= host.limits.deaf:
                why = f"{host.deaf} tries in a row had no answer"
                self._shut(host, host.limits.down_s, ("unreachable", why))
                host.deaf = 0
            elif host.deaf and host.deaf % host.limits.concurrency == 0:
                rest = host.limits.rest_s * 2.0 ** (host.deaf // host.limits.concurrency - 1)
                host.free_at = max(host.free_at, self._clock() + rest)
            self._changed.notify_all()

    def pause(self, key: str, seconds: float) -> None:
        """No request begins for so long; those that wait go on waiting."""
        with self._changed:
            if (host := self._hosts.get(key)) is not None:
                host.free_at = max(host.free_at, self._clock() + seconds)
                self._changed.notify_all()

    def shut(self, key: str, seconds: float, kind: str, why: str) -> None:
        """The server is left alone for so long; `shut_for` tells its downloads so."""
        with self._changed:
            if (host := self._hosts.get(key)) is not None:
                self._shut(host, seconds, (kind, why))
                self._changed.notify_all()

    def _shut(self, host: _Host, seconds: float, why: tuple[str, str]) -> None:
        host.shut_until, host.why = max(host.shut_until, self._clock() + seconds), why

    def shut_for(self, key: str) -> tuple[float, str, str] | None:
        """Seconds for which the server is left alone, the kind of fault, and why; None where it is not."""
        with self._changed:
            host = self._hosts.get(key)
            left = host.shut_until - self._clock() if host is not None else 0.0
            return (left, *host.why) if host is not None and left > 0 else None

    def _host(self, key: str, limits: HostLimits, now: float) -> _Host:
        if (host := self._hosts.get(key)) is not None:
            return host
        if len(self._hosts) >= _REMEMBERED:
            self._hosts = {k: h for k, h in self._hosts.items() if not h.idle(now)}
        self._hosts[key] = _Host(limits, float(limits.concurrency), now)
        return self._hosts[key]
