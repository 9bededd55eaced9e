"""Rules without a network: pauses, Retry-After, what a server is asked, content that is unpacked."""

from __future__ import annotations

import gzip
import math
import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.errors import MediaError, Problem
from pvm_resources.http import FEED, FetchError
from pvm_resources.http.body import received
from pvm_resources.http.faults import FaultError
from pvm_resources.http.host_throttle import HostLimits, HostThrottle
from pvm_resources.http.retry import RetryPolicy, retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", None), ("0", 0.0), (" 120 ", 120.0), ("-1", 0.0), ("1.5", 1.5), ("soon", None), ("١", None),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90.0), ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Sunday, 01-Mar-26 12:00:10 GMT", 10.0), ("Sun Mar  1 12:00:05 2026", 5.0),
        ("Sun, 99 Mar 2026 12:01:30 GMT", None), ("9" * 400, 999_999_999_999.0),
        (None, None), ("-3", 0.0), ("nan", None), ("inf", None),
        ("Sun, 01 Mar 2026 12:00:10 -0000", 10.0),
    ],
)  # fmt: skip
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@given(st.text(max_size=60))
def test_no_retry_after_breaks_the_reading(value: str) -> None:
    found = retry_after(value, NOW)
    assert found is None or found >= 0


def test_pauses_grow_and_vary_within_bounds() -> None:
    for failed, full in ((1, 0.5), (2, 1.0), (3, 2.0), (9, 8.0), (5_000, 8.0)):
        for jitter, seconds in ((0.0, full / 2), (1.0, full)):
            policy = RetryPolicy(first_wait_s=0.5, max_wait_s=8.0, jitter=lambda found=jitter: found)
            assert policy.wait_s(failed) == seconds


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_server_is_asked_so_much_at_once_and_per_second() -> None:
    clock, limits = Clock(), HostLimits(concurrency=2, per_second=4.0)
    hosts = HostThrottle(clock)
    assert [hosts.try_acquire("a", limits) for _ in range(3)] == [None, None, math.inf]
    assert hosts.try_acquire("b", limits) is None, "another server has limits of its own"
    hosts.release("a")
    assert hosts.try_acquire("a", limits) == pytest.approx(0.25), "the burst is spent"
    clock.now += 0.25
    assert hosts.try_acquire("a", limits) is None
    hosts.release("a")
    hosts.release("a")
    begun = 0
    for _ in range(40):
        clock.now += 0.1
        if hosts.try_acquire("a", limits) is None:
            begun += 1
            hosts.release("a")
    assert 15 <= begun <= 18, "4 per second for 4 seconds, and what was saved up"


def test_a_server_that_pauses_or_is_down_is_left_alone() -> None:
    clock, limits = (
        Clock(),
        HostLimits(2, None, rest_s=4, max_consecutive_failures=3, circuit_open_s=30),
    )
    hosts = HostThrottle(clock)
    hosts.try_acquire("a", limits)
    hosts.release("a")
    hosts.pause("a", 5)
    assert hosts.try_acquire("a", limits) == 5
    clock.now += 5
    for answered, rest in ((False, None), (False, 4), (True, None), (False, None), (False, 4)):
        assert hosts.try_acquire("a", limits) is None
        hosts.release("a", answered=answered)
        if rest is not None:
            assert hosts.try_acquire("a", limits) == rest
            clock.now += rest
    assert hosts.circuit_open("a") is None
    hosts.try_acquire("a", limits)
    hosts.release("a", answered=False)
    assert hosts.circuit_open("a") == (30, "unreachable", "3 tries in a row had no answer")
    clock.now += 31
    assert hosts.circuit_open("a") is None


def test_servers_of_which_nothing_is_known_are_forgotten() -> None:
    clock = Clock()
    hosts = HostThrottle(clock)
    for n in range(5_000):
        hosts.try_acquire(str(n), HostLimits())
        hosts.release(str(n))
        clock.now += 1
    assert len(hosts._hosts) <= 1_001


def test_an_error_crosses_processes_with_its_attempts() -> None:
    error = pickle.loads(pickle.dumps(FetchError("picture.http", "u", "r", "m", retryable=True, attempts=3)))
    assert isinstance(error, MediaError)
    assert (error.attempts, error.retryable, error.code) == (3, True, "picture.http")
    assert Problem.of("product_images", error).item == "u"


@given(st.binary(min_size=1, max_size=3_000), st.integers(1, 200), st.booleans())
def test_what_was_packed_comes_out_whole(data: bytes, piece: int, by_header: bool) -> None:
    text = b"id,title\n" + data.hex().encode()
    packed = gzip.compress(text)
    pieces = [packed[at : at + piece] for at in range(0, len(packed), piece)]
    assert received(pieces, "gzip" if by_header else "", FEED) == text


def test_a_feed_may_be_utf16_and_must_not_be_a_page() -> None:
    assert received(["id\n1".encode("utf-16")], "", FEED)
    for page in (b"<!doctype html><html>", b"%PDF-1.7", b"PK\x03\x04", b"\xff\xd8\xff\xe0"):
        with pytest.raises(FaultError, match="not a feed") as caught:
            received([page], "", FEED)
        assert caught.value.error("u", FEED, 1).code == "fetch.type"
