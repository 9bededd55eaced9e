"""Foreign text for terminals: nothing that commands them, everything else kept."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.printable import printable, printable_json

#: Text in which every dangerous character is likely.
FOREIGN = st.text(
    st.one_of(
        st.sampled_from(
            "\x00\x07\x08\t\n\r\x1b\x7f\x85\x9b\x9d\u2028\u202e\u2066\u2069\u200f[]0;31mabc\ud800"
        ),
        st.characters(codec="utf-8"),
    )
)


def _unfit(character: str) -> bool:
    """By Unicode's own classes, not by the ranges of the function."""
    if character in "\n\t":
        return False
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return True
    return unicodedata.bidirectional(character) in (
        "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI",
    )  # fmt: skip


@given(FOREIGN)
def test_nothing_that_commands_a_terminal_is_left(text: str) -> None:
    shown = printable(text)
    assert not [character for character in shown if _unfit(character)]
    assert printable(shown) == shown
    shown.encode()


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Zl", "Zp"])))
def test_other_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x1b]8;;https://evil.example\x07here", "]8;;https://evil.examplehere"),
        ("\x9b2Jgone", "2Jgone"),
        ("safe\rEVIL", "safeEVIL"),
        ("two\r\nlines", "two\nlines"),
        ("one\u2028two", "one two"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("gối 枕头 👩‍👩‍👧 שלום\u200f!", "gối 枕头 👩‍👩‍👧 שלום\u200f!"),
        ("name\udcff", "name\ufffd"),
    ],
)
def test_known_tricks(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.recursive(FOREIGN, lambda inner: st.lists(inner) | st.dictionaries(FOREIGN, inner), max_leaves=5))
def test_json_keeps_its_value_and_holds_none_of_them(value: object) -> None:
    text = printable_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(text) == value
    assert not [character for character in text if _unfit(character)]
