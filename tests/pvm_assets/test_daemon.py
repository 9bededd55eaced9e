"""When the daemon's loops rest and what wakes them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg
import pytest

from pvm_assets.daemon.attention import ATTENTIVE_S, IDLE_S, Attention, PacedEvent
from pvm_assets.daemon.listening import Channel, Listener

PATIENCE_S = 30.0


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def _resting(attention: Attention, seconds: float) -> threading.Thread:
    """A loop that rests; returned once it does."""
    entered = threading.Event()

    def rest() -> None:
        entered.set()
        attention.rest(seconds)

    loop = threading.Thread(target=rest, daemon=True)
    loop.start()
    entered.wait(PATIENCE_S)
    return loop


def _quiet(clock: Clock) -> Attention:
    attention = Attention(channels=1, clock=clock)
    attention.trust("one", heard=True)
    clock.now += ATTENTIVE_S
    return attention


@pytest.mark.parametrize("urgent", [True, False])
def test_news_end_the_rest_of_a_loop(urgent: bool) -> None:
    clock = Clock()
    attention = _quiet(clock)
    loop = _resting(attention, seconds=5.0)
    clock.now += 5.0
    loop.join(0.2)
    assert loop.is_alive(), "a quiet loop rests longer than its own pace"
    attention.news(urgent=urgent)
    loop.join(PATIENCE_S)
    assert not loop.is_alive()


def test_a_request_wakes_a_loop_that_keeps_its_own_pace_and_an_event_of_a_run_does_not() -> None:
    attention = Attention(channels=1, clock=Clock())
    loop = _resting(attention, seconds=5.0)
    attention.news(urgent=False)
    loop.join(0.2)
    assert loop.is_alive()
    attention.news(urgent=True)
    loop.join(PATIENCE_S)
    assert not loop.is_alive()


@pytest.mark.parametrize("lost", [True, False])
def test_without_news_to_trust_the_loops_keep_their_own_pace(lost: bool) -> None:
    ahead = [0.0]
    attention = Attention(channels=2, clock=lambda: time.monotonic() + ahead[0])
    attention.trust("one", heard=True)
    if lost:
        attention.trust("two", heard=True)
        attention.trust("two", heard=False)
    ahead[0] = 10 * ATTENTIVE_S
    loop = _resting(attention, seconds=0.01)
    loop.join(IDLE_S / 2)
    assert not loop.is_alive()


def test_the_end_of_the_daemon_ends_every_rest() -> None:
    attention = _quiet(Clock())
    shutdown = threading.Event()
    loop = threading.Thread(target=PacedEvent(shutdown, attention).wait, args=[5.0], daemon=True)
    loop.start()
    attention.close()
    loop.join(PATIENCE_S)
    assert not loop.is_alive()
    shutdown.set()
    assert PacedEvent(shutdown, attention).wait(5.0)


class Heard(Attention):
    """Keeps what a listener says."""

    def __init__(self) -> None:
        super().__init__(channels=1)
        self.said: list[str] = []

    def trust(self, channel: object, *, heard: bool) -> None:
        self.said.append("trusted" if heard else "lost")
        super().trust(channel, heard=heard)

    def news(self, *, urgent: bool) -> None:
        self.said.append("urgent" if urgent else "news")
        super().news(urgent=urgent)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_listener_trusts_what_it_hears_and_connects_again(database_url: str) -> None:
    attention = Heard()
    listener = Listener(Channel(database_url, "pvm_inbox", urgent=True), attention)
    listener.start()
    try:
        with psycopg.connect(database_url, autocommit=True) as other:
            _until(lambda: attention.said == ["trusted"])
            other.execute("SELECT pg_notify('pvm_inbox', '')")
            _until(lambda: attention.said == ["trusted", "urgent"])
            other.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            _until(lambda: attention.said == ["trusted", "urgent", "lost", "trusted"])
    finally:
        listener.close()
        listener.join(PATIENCE_S)
