"""Collages and strips are cut into their views; one product stays one picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvm_core.arrays import U8
from pvm_core.panels import Box, panels
from tests.pvm_core.drawn import chart
from tests.pvm_core.prints import label


def _page(width: int, height: int, paper: int = 255) -> U8:
    return np.full((height, width, 3), paper, np.uint8)


def _collage(rows: int, columns: int, gutter: int, paper: int, noise: int) -> tuple[U8, list[Box]]:
    width, height = 160, 200
    page = _page(columns * (width + gutter) + gutter, rows * (height + gutter) + gutter, paper)
    face = label(7 * rows + columns, width=width, height=height)
    boxes = []
    for row in range(rows):
        for column in range(columns):
            left, top = gutter + column * (width + gutter), gutter + row * (height + gutter)
            # Another photo of the product: turned, or lit otherwise.
            view = np.rot90(face, 2 * (column % 2)).astype(np.float64) * (1.0 - 0.1 * row)
            page[top : top + height, left : left + width] = view.astype(np.uint8)
            boxes.append(Box(left, top, width, height))
    rough = np.random.default_rng(noise).integers(-noise, noise + 1, page.shape)
    return np.clip(page.astype(int) + rough, 0, 255).astype(np.uint8), boxes


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    height = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    shared = max(0, width) * max(0, height)
    return shared / (one.width * one.height + other.width * other.height - shared)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(14, 60),
    st.sampled_from([255, 238, 20]),
    st.integers(0, 6),
)
def test_each_tile_of_a_collage_is_one_view(
    rows: int, columns: int, gutter: int, paper: int, noise: int
) -> None:
    page, tiles = _collage(rows, columns, gutter, paper, noise)
    found = panels(page)
    if rows * columns == 1:
        assert found == ()
        return
    assert len(found) == len(tiles)
    for tile in tiles:
        assert max(_overlap(tile, box) for box in found) > 0.85
    for box in found:
        assert box.of(page).shape == (box.height, box.width, 3)


def test_a_strip_gives_the_one_view_among_its_texts() -> None:
    strip = _page(500, 3_000)
    strip[200:600] = 255
    strip[1_200:1_600, 90:390] = label(3, width=300, height=400)
    strip[2_100:2_600] = chart(1, 500)
    (view,) = panels(strip)
    assert _overlap(view, Box(90, 1_200, 300, 400)) > 0.9


def test_a_bundle_of_two_products_is_neither() -> None:
    page = _page(700, 500)
    page[60:380, 50:290], page[60:380, 400:640] = label(1), label(2)
    assert panels(page) == ()
    page[60:380, 400:640] = label(1)
    assert len(panels(page)) == 2


def test_of_a_collage_the_pieces_of_another_product_are_left_out() -> None:
    page = _page(1_000, 500)
    for number, seed in enumerate((1, 1, 2)):
        page[60:380, 50 + 310 * number : 290 + 310 * number] = label(seed)
    assert [round(box.left, -2) for box in panels(page)] == [0, 400]


def test_a_picture_with_a_margin_is_one_view() -> None:
    page = _page(700, 700)
    page[150:470, 200:440] = label(5)
    assert panels(page) == ()


def test_a_product_with_a_line_of_text_is_one_view() -> None:
    page = _page(700, 700)
    page[150:470, 200:440] = label(5)
    page[560:580, 100:600:7] = 0
    assert panels(page) == ()


def test_two_charts_are_no_views() -> None:
    assert panels(np.ascontiguousarray(np.hstack([chart(1), _page(60, 600), chart(2)]))) == ()


def test_a_catalogue_page_is_left_whole() -> None:
    page, _ = _collage(4, 4, 20, 255, 0)
    assert panels(page) == ()


@pytest.mark.parametrize("shape", [(32, 32), (33, 1_000), (1_000, 33), (700, 700)])
def test_noise_and_plain_pictures_give_nothing(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    assert panels(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)) == ()
    assert panels(np.full((*shape, 3), 255, np.uint8)) == ()
