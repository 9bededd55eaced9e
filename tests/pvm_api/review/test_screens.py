"""Screenshots of the pages, in both languages and both colours."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pvm_jobs.source_policy import parse_policies
from pvm_resources.store.labels import Labels
from tests.pvm_api.review.conftest import Site, forget, opened

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("name", "path", "options"),
    [
        ("review-grid", "/review/{job}", {}),
        ("review-grid-vi-dark", "/review/{job}", {"locale": "vi-VN", "color_scheme": "dark"}),
        ("review-match", "/review/match/{match}", {}),
        (
            "review-match-vi",
            "/review/match/{match}",
            {"locale": "vi-VN", "viewport": {"width": 1440, "height": 1280}},
        ),
        ("review-match-dark", "/review/match/{match}", {"color_scheme": "dark"}),
        ("review-overview", "/review", {}),
        ("review-purged", "/review/match/{purged}", {}),
        ("review-grid-phone", "/review/{job}", {"viewport": {"width": 390, "height": 844}}),
        ("review-match-phone", "/review/match/{match}", {"viewport": {"width": 390, "height": 844}}),
    ],
)
def test_pages_as_people_see_them(
    browser: Browser, site: Site, pictures: Path, name: str, path: str, options: dict[str, object]
) -> None:
    forget(site.database)
    labels = Labels(site.database, parse_policies(""))
    for match, verdict in zip(site.shelf.matches, ("accept", "accept", "reject", "unsure"), strict=False):
        labels.give(match, verdict, "Lan")  # type: ignore[arg-type]
    page = opened(browser, **options)
    match, purged = site.shelf.matches[1], site.shelf.matches[7]
    page.goto(site.url + path.format(job="job-1", match=match, purged=purged))
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(400)
    page.screenshot(path=pictures / f"{name}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.faults == []  # type: ignore[attr-defined]
    page.context.close()
