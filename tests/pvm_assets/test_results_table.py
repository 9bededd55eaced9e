"""The table of results in the metadata of `matches`."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pvm_assets.preview import RESULTS, ResultRow, results_table
from pvm_resources.media.store import MediaStore
from tests.pvm_api.drawn import jpeg

ROW = ResultRow(
    "Gối", "19.99 USD", "clip", "https://youtu.be/a?t=1", "0:01.0", "0.930", "accepted", (),
    "http://x/review/match/1",
)  # fmt: skip


def test_a_row_has_its_picture_and_both_links(tmp_path: Path) -> None:
    media = MediaStore(str(tmp_path))
    for n in range(2):
        media.put(f"products/{n}.jpg", jpeg(n))
    pictured = ResultRow(**{**vars(ROW), "pictures": ("products/0.jpg", "products/1.jpg")})
    table = results_table(media, [pictured])
    assert table.count("](data:image/jpeg;base64,") == 1
    assert "[0:01.0](https://youtu.be/a?t=1)" in table
    assert "[review](http://x/review/match/1)" in table
    many = results_table(media, [pictured] * (RESULTS + 1))
    assert many.count("data:image") == RESULTS
    assert "the review page lists all" in many
    assert len(many) < 90_000, "an event-log row stays small"


@given(st.text(max_size=40))
def test_no_text_breaks_the_table_or_becomes_markup(text: str) -> None:
    row = ResultRow(**{**vars(ROW), "product": text, "video": text, "price": text})
    table = results_table(MediaStore("memory://none"), [row])
    assert len(table.splitlines()) == 3
    line = table.splitlines()[2]
    assert len(re.findall(r"(?<!\\)\|", re.sub(r"\\\\", "", line))) == 9, "eight cells"
    assert len(re.findall(r"(?<!\\)\]\(", re.sub(r"\\\\", "", line))) == 2, "two links"
