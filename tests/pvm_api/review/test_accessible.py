"""What a page must have for everybody: names, alternatives, one main heading, ids once, contrast in both
colours, targets large enough, no meaning by colour alone, all of it by keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from pvm_jobs.source_policy import parse_policies
from pvm_resources.store.labels import Labels
from tests.pvm_api.review.conftest import Site, forget, opened

pytestmark = pytest.mark.browser

_PATHS = ("/review", "/review/job-1", "/review/match/{0}", "/review/match/{7}", "/review/none-such")


_AUDIT = (Path(__file__).parent / "audit.js").read_text(encoding="utf-8").partition("\n")[2].strip()


def _audit(page: Page, part: str) -> Any:
    return page.evaluate(f"{_AUDIT}.{part}()")


def _seen(browser: Browser, site: Site, path: str, **options: object) -> Page:
    page = opened(browser, **options)
    page.goto(site.url + path.format(*site.shelf.matches))
    page.wait_for_load_state("networkidle")
    return page


@pytest.fixture(scope="module", autouse=True)
def _judged(site: Site) -> None:
    forget(site.database)
    for match, verdict in zip(site.shelf.matches, ("accept", "reject", "unsure"), strict=False):
        Labels(site.database, parse_policies("")).give(match, verdict, "Lan")  # type: ignore[arg-type]


@pytest.mark.parametrize("path", _PATHS)
def test_names_alternatives_and_headings(browser: Browser, site: Site, path: str) -> None:
    page = _seen(browser, site, path)
    assert _audit(page, "structure") == []
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", _PATHS)
def test_contrast_in_both_colours(browser: Browser, site: Site, path: str, scheme: str) -> None:
    page = _seen(browser, site, path, color_scheme=scheme)
    found = _audit(page, "contrast")
    assert found["checked"] >= 6
    assert found["faults"] == []
    page.context.close()


@pytest.mark.parametrize("path", _PATHS[:4])
def test_targets_can_be_hit_on_a_phone(browser: Browser, site: Site, path: str) -> None:
    page = _seen(browser, site, path, viewport={"width": 360, "height": 780}, has_touch=True)
    assert _audit(page, "targets") == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.context.close()


def test_what_colour_says_words_say_too(browser: Browser, site: Site) -> None:
    page = _seen(browser, site, "/review/job-1")
    for chip in page.locator(".card .status, .card .said").all():
        assert chip.inner_text().strip()
    assert page.locator(".status:not(:has(svg))").count() == 0
    page.context.close()


def test_tab_reaches_everything_and_shows_where_it_is(browser: Browser, site: Site) -> None:
    page = _seen(browser, site, "/review/job-1")
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(
            "(() => { const one = document.activeElement;"
            " const style = getComputedStyle(one.matches('.chip input') ? one.nextElementSibling : one);"
            " return [one.className || one.name || one.tagName,"
            " style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2]; })()"
        ))  # fmt: skip
    names = [name for name, _ in reached]
    assert names[0] == "skip"
    assert {"q", "status", "said", "min", "sort", "accept", "reject"} <= set(names)
    assert [name for name, outlined in reached if not outlined and name != "BODY"] == []
    page.context.close()
