"""What shops say of a product: availability in their words, descriptions without markup, moments."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.product_facts import (
    ATTRIBUTES_MAX,
    AVAILABILITIES,
    DESCRIPTION_MAX,
    clean_attributes,
    parse_availability,
    parse_moment,
    plain_text,
)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("in stock", "in_stock"), ("IN_STOCK", "in_stock"), ("https://schema.org/InStock", "in_stock"),
        ("true", "in_stock"), ("12", "in_stock"), ("0.5", "in_stock"), ("Còn hàng", "in_stock"),
        ("LIMITED_STOCK", "in_stock"), ("out of stock", "out_of_stock"), ("0", "out_of_stock"),
        ("-3", "out_of_stock"), ("http://schema.org/SoldOut", "out_of_stock"), ("Hết hàng", "out_of_stock"),
        ("缺货", "out_of_stock"), ("preorder", "preorder"), ("onbackorder", "backorder"),
        ("", ""), ("perhaps", ""), ("12 pieces", ""),
    ],
)  # fmt: skip
def test_availability_as_shops_word_it(text: str, state: str) -> None:
    assert parse_availability(text) == state


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<p>Soft &amp; <b>warm</b></p><br/>Two\n pieces", "Soft & warm Two pieces"),
        ("<style>p {color: red}</style>Soft<script>if (a < b) alert(1)</script>ly", "Soft ly"),
        ("before <!-- a <b>note</b> --> after", "before after"),
        ("rest <script>never ends", "rest"),
        ("3 < 5 and 7 > 6", "3 < 5 and 7 > 6"),
        ("", ""),
    ],
)
def test_a_description_is_plain_text(text: str, plain: str) -> None:
    assert plain_text(text) == plain


@given(st.text(alphabet="<>!-/&;sScCrRiIpPtT yle", max_size=400))
def test_no_tag_outlasts(text: str) -> None:
    found = plain_text(text)
    assert "<script>" not in found.lower() or "&" in text
    assert plain_text("x" * DESCRIPTION_MAX * 3 + text) == "x" * DESCRIPTION_MAX


def test_moments_have_a_zone_and_what_is_none_is_unknown() -> None:
    assert parse_moment("2026-01-02T03:04:05") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert parse_moment("2026-01-02T03:04:05+07:00") == datetime(2026, 1, 1, 20, 4, 5, tzinfo=UTC)
    assert parse_moment("2026-01-02") == datetime(2026, 1, 2, tzinfo=UTC)
    assert [parse_moment(text) for text in ("", "yesterday", "0001-01-01T00:00:00+14:00")] == [None] * 3


def test_attributes_are_bounded_and_never_empty() -> None:
    given = {" Color ": " <b>blue</b> ", "": "x", "size": " ", **{f"a{n}": "1" for n in range(200)}}
    found = clean_attributes(given)
    assert found["Color"] == "blue"
    assert len(found) <= ATTRIBUTES_MAX
    assert all(name and value for name, value in found.items())
    assert "in_stock" in AVAILABILITIES
