"""Waiting, phrases and turns: what the sources share."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_resources.sources.base import Query, SourceStatus
from pvm_resources.sources.faults import SourceError
from pvm_resources.sources.rate_limit import Pace, retry_after
from pvm_resources.sources.search_phrases import choose_phrases, round_robin

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@given(
    retries=st.integers(0, 6),
    first=st.floats(0.01, 10),
    longest=st.floats(1, 100),
    chance=st.floats(0, 1),
    asked=st.one_of(st.none(), st.floats(0, 200)),
)
def test_waits_are_few_grow_and_have_an_end(
    retries: int, first: float, longest: float, chance: float, asked: float | None
) -> None:
    slept: list[float] = []
    pace = Pace(retries, first, longest, sleep=slept.append, chance=lambda: chance)
    again = [pace.again(made, asked) for made in range(retries + 1)]
    assert not again[-1]
    if asked is not None and asked > longest:
        assert slept == []
        return
    assert again[:-1] == [True] * retries
    for made, seconds in enumerate(slept):
        if asked is None:
            assert 0.5 * min(first, longest) <= seconds <= 1.5 * longest
            assert seconds <= 1.5 * first * 2**made
        else:
            assert asked <= seconds <= asked + first


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        (format_datetime(datetime(2026, 3, 1, 12, 1, 30, tzinfo=UTC), usegmt=True), 90.0),
        (format_datetime(datetime(2026, 3, 1, 11, 0, tzinfo=UTC), usegmt=True), 0.0),
        ("Sun, 01 Mar 2026 12:00:10 -0000", 10.0),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


@given(st.text(max_size=40))
def test_retry_after_takes_any_text(header: str) -> None:
    found = retry_after(header, NOW)
    assert found is None or found >= 0


@given(
    streams=st.lists(st.lists(st.integers(0, 12), max_size=12), max_size=4),
    limit=st.one_of(st.none(), st.integers(0, 15)),
)
def test_turns_give_each_once_in_order_and_read_no_further_than_needed(
    streams: list[list[int]], limit: int | None
) -> None:
    read = [0] * len(streams)

    def reading(number: int) -> Iterator[int]:
        for value in streams[number]:
            read[number] += 1
            yield value

    found = list(round_robin([reading(n) for n in range(len(streams))], lambda one: one, limit))
    everything = {value for stream in streams for value in stream}
    assert len(found) == len(set(found)) == min(len(everything), len(everything) if limit is None else limit)
    assert set(found) <= everything
    if limit == 0:
        assert sum(read) == 0
    if limit is not None and limit <= len(streams) and all(streams):
        assert all(count <= len(streams) * 12 for count in read)


def test_turns_alternate() -> None:
    found = round_robin([iter("ABC"), iter("xAyz"), iter("")], lambda one: one, 6)
    assert "".join(found) == "AxByCz"


@pytest.mark.parametrize(
    ("terms", "languages", "phrases", "note"),
    [
        ({"en": (" ergonomic   pillow ", "ergonomic pillow")}, ["en"], ("ergonomic pillow",), ""),
        ({"en": ("a",), "fr": ("b",)}, ["fr", "en"], ("b",), ""),
        ({"en": ("a",), "und": ("b",)}, ["de"], ("b",), ""),
        ({"zh": ("a",)}, ["nl", "fr"], ("a",), "no phrases in nl or fr: searched in zh"),
        ({}, ["en"], ("typed",), ""),
    ],
)
def test_phrases_are_chosen_by_language(
    terms: dict[str, tuple[str, ...]], languages: list[str], phrases: tuple[str, ...], note: str
) -> None:
    found = choose_phrases(Query("typed", terms), languages)
    assert (found.phrases, found.note) == (phrases, note)


def test_a_sources_fault_is_its_status_and_travels_between_processes() -> None:
    error = SourceError.of("rate_limited", "ebay", "too many", "Wait")
    assert error.status == SourceStatus("ebay", "rate_limited", "too many", "Wait")
    assert error.retryable
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), back.state, back.subject) == (SourceError, "rate_limited", "ebay")
    assert not SourceError.of("not_configured", "ebay", "x", "y").retryable
