"""When the loops of a daemon go on: as fast as Dagster has them while something happens, rarely otherwise."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Final

#: Seconds after the last news in which the loops keep Dagster's own pace: a request takes several rounds, and
#: what a sensor was too busy to see is seen by its next tick.
ATTENTIVE_S: Final = 30.0
#: Seconds between two rounds where nothing is heard: what nobody announces (a worker that was killed, an
#: industry whose time has come) is found by then.
IDLE_S: Final = 30.0


class Attention:
    """Shared by the loops, which rest in it, and by who hears the news.

    Until every channel is heard, the loops go on as if something always happened.

    Args:
        channels: number of channels that news come from.
        clock: seconds, monotonic.
    """

    def __init__(self, channels: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._channels = channels
        self._clock = clock
        self._changed = threading.Condition()
        self._last_news = clock()
        self._calls = 0
        self._heard: set[Hashable] = set()
        self._closed = False

    def trust(self, channel: Hashable, *, heard: bool) -> None:
        """Whether news of that channel are heard from now on; what came before may have been missed."""
        with self._changed:
            (self._heard.add if heard else self._heard.discard)(channel)
            self._last_news = self._clock()
            self._changed.notify_all()

    def news(self, *, urgent: bool) -> None:
        """Something happened.

        Args:
            urgent: a request waits; every loop goes on at once, a busy one too.
        """
        with self._changed:
            now = self._clock()
            rested = not self._attentive(now)
            self._last_news = now
            self._calls += urgent
            # Who waits at Dagster's own pace need not be woken by each event of a run.
            if urgent or rested:
                self._changed.notify_all()

    def close(self) -> None:
        """Nobody rests any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def rest(self, seconds: float) -> None:
        """Returns after `seconds` while something happens, otherwise at the next news or after `IDLE_S`; and
        at once where a request comes."""
        with self._changed:
            calls, began = self._calls, self._clock()
            while not self._closed and calls == self._calls:
                now = self._clock()
                span = seconds if self._attentive(now) else max(seconds, IDLE_S)
                left = began + span - now
                if left <= 0:
                    return
                self._changed.wait(left)

    def _attentive(self, now: float) -> bool:
        return len(self._heard) < self._channels or now - self._last_news < ATTENTIVE_S


class PacedEvent(threading.Event):
    """A daemon's shutdown event as its loop waits for it: the wait is `Attention`'s."""

    def __init__(self, shutdown: threading.Event, attention: Attention) -> None:
        super().__init__()
        self._shutdown = shutdown
        self._attention = attention

    def is_set(self) -> bool:
        """True where the daemon is to end."""
        return self._shutdown.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """True where the daemon is to end; see `Attention.rest` for when."""
        if timeout is None:
            return self._shutdown.wait()
        if not self._shutdown.is_set() and timeout > 0:
            self._attention.rest(timeout)
        return self._shutdown.is_set()
