"""Waiting, phrases and turns: what the sources share."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_resources.http.retry import RetryPolicy
from pvm_resources.sources.base import Query, SourceStatus
from pvm_resources.sources.faults import CallError, SourceError
from pvm_resources.sources.rate_limit import retried
from pvm_resources.sources.search_phrases import choose_phrases, round_robin


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
    policy = RetryPolicy(retries + 1, first, longest, longest, sleep=slept.append, jitter=lambda: chance)
    requests = 0

    def fails() -> None:
        nonlocal requests
        requests += 1
        error = CallError("ebay.server", "x", "down", "Wait", retryable=True)
        error.retry_after_s = asked
        raise error

    with pytest.raises(CallError):
        retried(policy, fails)
    assert requests == len(slept) + 1
    if asked is not None and asked > longest:
        assert slept == []
        return
    assert len(slept) == retries
    for made, seconds in enumerate(slept):
        if asked is None:
            assert 0.5 * min(first, longest) <= seconds <= longest
            assert seconds <= first * 2**made
        else:
            assert asked <= seconds <= asked + first


def test_what_cannot_pass_is_not_tried_again() -> None:
    def refused() -> None:
        raise CallError("ebay.refused", "x", "no", "Correct it")

    with pytest.raises(CallError, match="no"):
        retried(RetryPolicy(sleep=lambda _: pytest.fail("it waits")), refused)


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
