"""Scores of several kinds of evidence, and lists that are diverse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.recommending.ranking import Ranked, blend, co_appearance, diversify, popularity


def test_what_is_missing_counts_neither_for_nor_against() -> None:
    weights = {"look": 0.5, "text": 0.5, "seen": 1.0}
    assert blend("a", {"look": 0.8, "text": 0.4}, weights).score == pytest.approx(0.6)
    assert blend("a", {"look": 0.8}, weights).score == pytest.approx(0.8)
    assert blend("a", {"look": 0.8, "seen": 0.0}, weights).score == pytest.approx(0.8 * 0.5 / 1.5)
    assert blend("a", {}, weights).score == 0.0
    assert blend("a", {"popular": 1.0}, weights) == Ranked("a", 0.0, {})


@given(st.dictionaries(st.sampled_from("abc"), st.floats(-2, 2)), st.floats(0, 1))
def test_a_score_lies_between_its_parts(parts: dict[str, float], weight: float) -> None:
    ranked = blend("x", parts, {"a": 1.0, "b": weight, "c": 0.3})
    values = list(ranked.parts.values()) or [0.0]
    assert min(values) - 1e-9 <= ranked.score <= max(values) + 1e-9


def test_counts_become_shares() -> None:
    assert co_appearance(0, 3, 0) == 0.0
    assert co_appearance(2, 2, 2) == 1.0
    assert co_appearance(1, 4, 1) == 0.5
    assert [popularity(0, 9), popularity(9, 9), popularity(3, 0)] == [0.0, 1.0, 0.0]


def test_a_list_does_not_say_the_same_thing_twice() -> None:
    ranked = [Ranked("a1", 0.9, {}), Ranked("a2", 0.89, {}), Ranked("b", 0.7, {})]

    def alike(one: str, other: str) -> float:
        return 1.0 if one[0] == other[0] else 0.0

    assert [one.item for one in diversify(ranked, alike, 0.5, 2)] == ["a1", "b"]
    assert [one.item for one in diversify(ranked, alike, 0.0, 3)] == ["a1", "a2", "b"]
    assert diversify(ranked, alike, 0.5, 0) == []
