"""Addresses as they may be shown: nothing that may be a key is left, and the place stays recognisable."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.errors import InputError, Problem
from pvm_core.shown_url import shown_url, without_secrets


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://s.example/feed.xml", "https://s.example/feed.xml"),
        ("https://s.example/feed.xml?key=geheim&x=1", "https://s.example/feed.xml?…"),
        ("https://s.example?key=geheim", "https://s.example?…"),
        ("https://u:geheim@s.example:8443/a", "https://s.example:8443/a"),
        ("HTTPS://geheim@s.example/a#geheim", "HTTPS://s.example/a"),
        ("https://a@geheim@s.example/", "https://s.example/"),
        ("http://[::1/x?geheim", "http://[::1/x?…"),
        (
            "https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=geheim",
            "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        ),
        ("https://youtube.com.evil.example/watch?v=geheim", "https://youtube.com.evil.example/watch?…"),
        ("https://www.bilibili.com/video/BV1x?p=2&session=geheim", "https://www.bilibili.com/video/BV1x?p=2"),
        ("/data/a?b.jpg", "/data/a?b.jpg"),
        ("ebay", "ebay"),
        ("", ""),
    ],
)
def test_what_is_left_of_an_address(url: str, shown: str) -> None:
    assert shown_url(url) == shown
    assert shown_url(shown) == shown
    assert "geheim" not in shown_url(url)


def test_errors_and_problems_carry_no_key() -> None:
    url = "https://u:geheim@s.example/p.jpg?sig=geheim"
    error = InputError("picture.http", url, f"it redirects to {url}, and ({url})", "Check the address")
    assert "geheim" not in str(error) + str(error.to_dict()) + repr(Problem.of("products", error, url))
    assert error.subject == "https://s.example/p.jpg?…"


@given(
    st.text(),
    st.sampled_from(["?", "#", "?a=1&b="]),
    st.text(st.characters(categories=["L", "N"]), min_size=12),
)
def test_no_text_breaks_it_and_no_query_is_shown(text: str, mark: str, token: str) -> None:
    token = f"geheim{token}"
    for url in (text, f"https://{token}@{text}", f"https://s.example/{mark}{token}{text}"):
        shown_url(url)
        without_secrets(url)
    assert token not in shown_url(f"https://s.example/a{mark}{token}{text}")
    assert token not in without_secrets(f"see https://s.example/a{mark}{token} or else")


def test_long_texts_cost_in_proportion() -> None:
    def seconds(size: int) -> float:
        start = time.process_time()
        for text in ("https://" * size, "https://a@" * size, "?" * size, "https://s/?" + "&v=" * size):
            without_secrets(text)
        return time.process_time() - start

    seconds(1_000)
    assert seconds(200_000) < 20 * max(seconds(100_000), 0.02)
