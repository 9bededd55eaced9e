"""The page of a product: pictures, videos, similar ones, what to show beside it; in both languages."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from pvm_resources.media.store import MediaStore
from pvm_resources.store.assembly import Store
from pvm_resources.text_index import TextIndex
from tests.pvm_api.drawn import embed
from tests.pvm_api.review.conftest import Site, opened

AUDIT = (Path(__file__).parent / "audit.js").read_text(encoding="utf-8").partition("\n")[2].strip()


@pytest.fixture(scope="module")
def address(site: Site) -> str:
    """The page of the shelf's first product, with looks and words known."""
    store = Store.over(site.database)
    rows = site.database.tuples("SELECT img_id, local_path FROM stored_images WHERE local_path <> ''")
    owners = site.database.tuples("SELECT img_id, product_id FROM stored_images")
    media = MediaStore(site.settings.media)
    pictures = {row[0]: media.get(row[1]) for row in rows if media.exists(row[1])}
    # Two that look alike: without, the shelf holds nothing that is like its first product.
    first, second = (
        next(img for img, product in owners if product == one.product_id) for one in site.shelf.products[:2]
    )
    embed(store, {**pictures, second: pictures[first]})
    TextIndex(store, site.settings).embed(None)
    return f"{site.url}/review/product/{site.shelf.products[0].product_id}"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page; at its end no script may have failed."""
    found = opened(browser)
    yield found
    assert found.faults == []  # type: ignore[attr-defined]
    found.context.close()


@pytest.mark.browser
def test_a_product_shows_its_pictures_videos_and_what_is_like_it(
    page: Page, site: Site, address: str
) -> None:
    product = site.shelf.products[0]
    page.goto(f"{site.url}/review/match/{site.shelf.matches[0]}")
    page.get_by_role("link", name=product.title).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(product.title)
    assert page.url == address
    for name in ("Pictures", "Videos that show it", "Similar products", "To show beside it"):
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    gallery = page.locator(".gallery img")
    assert gallery.count() >= 1
    assert gallery.first.evaluate("one => one.decode().then(() => one.naturalWidth)") > 100
    shows = page.locator("section[aria-labelledby=matches] .tile a")
    assert shows.first.get_attribute("href") == f"/review/match/{site.shelf.matches[0]}"
    similar = page.locator("section[aria-labelledby=similar] .tile")
    assert similar.count() >= 1
    assert "Look" in similar.first.inner_text()
    own = f"/review/product/{product.product_id}"
    assert page.locator(f".tiles a[href='{own}']").count() == 0, "itself is not like itself"
    similar.first.locator("a").click()
    expect(page.get_by_role("heading", name="Similar products")).to_be_visible()
    assert page.url != address


@pytest.mark.browser
def test_in_vietnamese_and_for_nothing_known(page: Page, site: Site, address: str) -> None:
    page.context.add_cookies([{"name": "pvm_lang", "value": "vi", "url": site.url}])
    page.goto(address)
    expect(page.get_by_role("heading", name="Sản phẩm tương tự")).to_be_visible()
    answer = page.request.get(f"{site.url}/review/product/{uuid.uuid4()}")
    assert answer.status == 404
    assert page.request.get(f"{site.url}/review/product/none").status in (404, 422)


@pytest.mark.browser
def test_everybody_can_read_and_use_it(browser: Browser, site: Site, address: str) -> None:
    for scheme, width in (("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)):
        page = opened(
            browser, color_scheme=scheme, viewport={"width": width, "height": 800}, has_touch=width < 400
        )
        page.goto(address)
        assert page.evaluate(f"{AUDIT}.structure()") == []
        assert page.evaluate(f"{AUDIT}.contrast()")["faults"] == []
        if width < 400:
            assert page.evaluate(f"{AUDIT}.targets()") == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if folder := os.environ.get("PVM_TEST_SCREENS"):
            page.screenshot(path=f"{folder}/product-{scheme}-{width}.png", full_page=True)
        page.context.close()


def test_what_terms_forbid_to_show_is_not_shown(site: Site) -> None:
    import httpx

    product = site.shelf.products[7].product_id
    answer = httpx.get(f"{site.url}/review/product/{product}", trust_env=False)
    assert answer.status_code == 200
    assert "Item data and pictures from eBay" in answer.text
