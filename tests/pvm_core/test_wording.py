"""Plurals, and names that were meant."""

from __future__ import annotations

import pytest

from pvm_core.wording import counted, near_names

KNOWN = ("gối công thái học", "ghế văn phòng", "人体工学枕", "PVM_HOME")


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (0, ("pair",), "0 pairs"), (1, ("pair",), "1 pair"), (1_200, ("match", "matches"), "1,200 matches"),
        (1, ("match", "matches"), "1 match"),
    ],
)  # fmt: skip
def test_counts_read_right(count: int, words: tuple[str, ...], said: str) -> None:
    assert counted(count, *words) == said


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("gói công thái học", "gối công thái học"), ("goi cong thai hoc", "gối công thái học"),
        ("Gối công thái hoc ", "gối công thái học"), ("goi-cong-thai-hoc", "gối công thái học"),
        ("ghe van phong", "ghế văn phòng"), ("人体工学", "人体工学枕"), ("PVM_HOEM", "PVM_HOME"),
    ],
)  # fmt: skip
def test_a_mistyped_name_finds_the_one_that_was_meant(given: str, meant: str) -> None:
    assert near_names(given, KNOWN)[0] == meant


@pytest.mark.parametrize("given", ["", "bàn phím", "xyz"])
def test_another_name_finds_none(given: str) -> None:
    assert near_names(given, KNOWN) == []
