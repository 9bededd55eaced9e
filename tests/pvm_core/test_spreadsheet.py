"""Cells that a spreadsheet would run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.spreadsheet import guarded, unguarded

_TEXT = st.text(st.one_of(st.sampled_from("'=+-@\t\r\n＝1.5e "), st.characters(codec="utf-8")))
_RUN = tuple("=+-@\t\r\n＝＋－＠")


@given(_TEXT)
def test_no_cell_is_run_and_each_gives_its_text_back(text: str) -> None:
    cell = guarded(text)
    assert unguarded(cell) == text
    if cell.startswith(_RUN):
        assert cell == text
        float(cell)


@pytest.mark.parametrize(
    "text", ["=HYPERLINK(A1)", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "=", "-", "-0.5;=1"]
)
def test_what_would_be_run_gets_an_apostrophe(text: str) -> None:
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize("value", [-0.5, "-0.5", "+84", "1e-3", "a=b", "'quoted'", "", None, 7, True])
def test_numbers_and_plain_text_stay(value: object) -> None:
    assert guarded(value) is value
