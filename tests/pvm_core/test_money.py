"""Prices as shops write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.money import Price, parse_price


@pytest.mark.parametrize(
    ("text", "currency", "amount", "code"),
    [
        ("19.99 USD", "", "19.99", "USD"), ("$1,299.00", "", "1299.00", ""), ("US$ 5", "", "5", "USD"),
        ("1.299.000₫", "", "1299000", "VND"), ("1.299.000 đ", "", "1299000", "VND"),
        ("250000 vnd", "", "250000", "VND"), ("19,99 €", "", "19.99", "EUR"), ("129元", "", "129", "CNY"),
        ("¥129", "", "129", ""), ("¥129", "JPY", "129", "JPY"), ("199000", "vnd", "199000", "VND"),
        ("19.90", "no code", "19.90", ""), ("RM12.90", "", "12.90", "MYR"), ("0", "EUR", "0", "EUR"),
        ("", "USD", "", ""), ("free", "USD", "", ""), ("-5 USD", "", "", ""), ("liên hệ", "", "", ""),
    ],
)  # fmt: skip
def test_a_price_is_read(text: str, currency: str, amount: str, code: str) -> None:
    assert parse_price(text, currency) == Price(amount, code)


@given(st.text(max_size=80), st.text(max_size=5))
def test_any_text_gives_what_the_database_takes(text: str, currency: str) -> None:
    found = parse_price(text, currency)
    assert re.fullmatch(r"([0-9]+([.][0-9]+)?)?", found.amount)
    assert re.fullmatch(r"([A-Z]{3})?", found.currency)
    assert found.amount or not found.currency, "a currency alone is no price"
