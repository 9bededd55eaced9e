"""Pictures that are no view of a product, and bands laid over one."""

from __future__ import annotations

import numpy as np
import pytest

from pvm_core.picture_content import GRID, read_content
from pvm_demo.products import make_products
from tests.pvm_core.drawn import bannered, chart, framed, placeholder, resaved, studio
from tests.pvm_core.prints import label


@pytest.mark.parametrize("quality", [35, 90])
def test_text_and_lines_alone_are_a_chart(quality: int) -> None:
    assert read_content(chart()).role == "chart"
    assert read_content(resaved(chart(), 400, quality)).role == "chart"


@pytest.mark.parametrize("text", ["No image available", "Chua co hinh", "Kein Foto"])
def test_a_sign_that_there_is_no_picture_is_a_placeholder(text: str) -> None:
    assert read_content(placeholder(text)).role == "placeholder"
    assert read_content(resaved(placeholder(text, ground=255), 300, 40)).role == "placeholder"


def test_products_are_views_without_bands() -> None:
    for product in make_products(31, 4, family="fit"):
        for picture in product.images:
            found = read_content(picture)
            assert found.role == "view", product.product_id


def test_a_dark_product_and_a_pale_one_are_views() -> None:
    """A soft shadow is what a drawing has not."""
    y, x = np.mgrid[0:400, 0:400]
    ball = np.clip(1 - np.hypot(x - 180, y - 180) / 170, 0, 1)
    for ground, tone in ((250, -180), (250, -40)):
        grey = (ground + tone * np.sqrt(ball)).astype(np.uint8)
        assert read_content(np.repeat(grey[..., None], 3, axis=2)).role == "view"


def test_a_banner_from_edge_to_edge_is_marked_and_the_product_is_not() -> None:
    plain = studio(label(4))
    assert not read_content(plain).bands.any()
    bands = read_content(bannered(plain, 0.2)).bands
    assert bands[-5:].all()
    assert not bands[: GRID - 8].any()
    both = read_content(framed(plain)).bands
    assert both[:3].all()
    assert both[-4:].all()
    assert not both[8:-8].any()
