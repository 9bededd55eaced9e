"""Learning from verdicts on the review page: the comparison, who may put it in force, and the way back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, Page, expect

from pvm_api.app import create_app
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings
from pvm_resources.store.api_keys import Keys
from pvm_resources.store.assembly import Store
from tests.pvm_api.review.conftest import opened, serving
from tests.pvm_evaluation.judged import CLASSIC, PAIRS_OF_12, Pair, clear_cut, contrary, judge, write_job

SLUG = "goi-cong-thai-hoc"
AUDIT = (Path(__file__).parent / "audit.js").read_text(encoding="utf-8").partition("\n")[2].strip()
ADDRESS = f"/review/calibration/{SLUG}"


@dataclass(frozen=True)
class Desk:
    """The review page over a job without verdicts, with its application for keys on."""

    url: str
    store: Store
    app_with_keys: TestClient

    def begin(self, pairs: list[Pair], judged: bool = True) -> None:
        """The job holds these pairs, judged or not, and the shipped calibration is in force."""
        with self.store.database.transaction() as cursor:
            cursor.execute("TRUNCATE labels, calibrations, jobs, products, videos CASCADE")
        matches = write_job(self.store, pairs)
        if judged:
            judge(self.store, matches, pairs)

    @property
    def in_force(self) -> str:
        """The calibration that counts."""
        found = self.store.calibrations.in_force(SLUG, "classic")
        return found.calibration.name if found else CLASSIC.name


@pytest.fixture(scope="module")
def desk(store: tuple[Settings, Database, MediaStore]) -> Iterator[Desk]:
    """A running page."""
    settings, database, media = store
    locked = settings.model_copy(update={"api_auth": True})
    client = TestClient(create_app(locked, database, media), base_url="http://testserver")
    for url in serving(settings, database, media):
        yield Desk(url, Store.over(database), client)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page; at its end no script may have failed."""
    found = opened(browser)
    yield found
    # Its jobs are rows without pictures.
    faults = [one for one in found.faults if "404 (Not Found)" not in one]  # type: ignore[attr-defined]
    assert faults == []
    found.context.close()


@pytest.mark.browser
def test_a_button_compares_puts_in_force_and_takes_back(page: Page, desk: Desk) -> None:
    desk.begin(clear_cut(36, products=9))
    page.goto(f"{desk.url}/review")
    page.get_by_role("link", name="Learn from verdicts").click()
    page.wait_for_url(f"**{ADDRESS}")
    rows = page.locator("section[aria-labelledby=compared] tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text(CLASSIC.name)
    before, after = (float(rows.nth(n).locator("td").first.inner_text()) for n in range(2))
    assert after < before
    expect(page.locator(".doubt")).to_have_count(0)
    assert desk.in_force == CLASSIC.name
    page.get_by_role("button", name="Put it in force").click()
    expect(page.locator("#say")).to_have_text("It is in force.")
    expect(page.get_by_text("has learnt from these verdicts already")).to_be_visible()
    expect(page.locator("#install")).to_have_count(0)
    assert desk.in_force == f"{CLASSIC.name}+{SLUG}.1"
    page.get_by_role("button", name="Take back what is in force").click()
    expect(page.locator("#say")).to_have_text("It is taken back.")
    assert desk.in_force == CLASSIC.name
    expect(page.locator("#revert")).to_have_count(0)


@pytest.mark.browser
def test_a_fit_that_fares_worse_needs_a_tick(page: Page, desk: Desk) -> None:
    desk.begin(contrary())
    page.goto(f"{desk.url}{ADDRESS}")
    expect(page.locator(".doubt").first).to_contain_text("It fares worse: its log loss is greater.")
    page.get_by_role("button", name="Put it in force").click()
    assert desk.in_force == CLASSIC.name, "the browser wants the tick first"
    page.get_by_label("Put it in force nevertheless").check()
    page.get_by_role("button", name="Put it in force").click()
    expect(page.locator("#say")).to_have_text("It is in force.")
    assert desk.in_force == f"{CLASSIC.name}+{SLUG}.1"


@pytest.mark.browser
def test_the_page_can_be_read_and_used_by_everybody(browser: Browser, desk: Desk) -> None:
    desk.begin(contrary())
    for scheme in ("light", "dark"):
        page = opened(browser, color_scheme=scheme, viewport={"width": 360, "height": 780}, has_touch=True)
        page.goto(f"{desk.url}{ADDRESS}")
        assert page.evaluate(f"{AUDIT}.structure()") == []
        assert page.evaluate(f"{AUDIT}.contrast()")["faults"] == []
        assert page.evaluate(f"{AUDIT}.targets()") == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.context.close()


@pytest.mark.browser
def test_the_page_without_verdicts_leads_to_the_queue_in_both_languages(page: Page, desk: Desk) -> None:
    desk.begin(PAIRS_OF_12, judged=False)
    page.goto(f"{desk.url}{ADDRESS}")
    page.get_by_role("link", name="Review what is open").click()
    page.wait_for_url("**said=open*")
    page.goto(f"{desk.url}/review/session/look?lang=vi&back={ADDRESS}")
    expect(page.locator("h1")).to_have_text("Học từ đánh giá")


def _signed_in(desk: Desk, scope: str) -> TestClient:
    client = desk.app_with_keys
    client.cookies.clear()
    token = Keys(desk.store.database).create(f"Lan ({scope})", [scope])[1]
    text = client.get("/review/session/in").text
    form = {"key": token, "csrf_token": _token(text)}
    assert client.post("/review/session/in", data=form, follow_redirects=False).status_code == 303
    return client


def _token(text: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', text)
    assert found
    return found[1]


def test_only_an_admin_puts_in_force_and_only_what_the_page_showed(desk: Desk) -> None:
    desk.begin(clear_cut(36, products=9))
    reviewer = _signed_in(desk, "review")
    text = reviewer.get(ADDRESS).text
    assert "A key with the scope admin puts it in force." in text
    assert 'id="install"' not in text
    fit = f"{CLASSIC.name}+{SLUG}.1 36"
    form = {"fit": fit, "csrf_token": _token(reviewer.get(f"/review/{SLUG}").text)}
    for address in (ADDRESS, f"{ADDRESS}/revert"):
        assert reviewer.post(address, data=form, follow_redirects=False).status_code == 403
    admin = _signed_in(desk, "admin")
    shown = admin.get(ADDRESS).text
    mark = re.search(r'name="fit" value="([^"]+)"', shown)
    assert mark
    form = {"fit": mark[1], "csrf_token": _token(shown)}
    assert admin.post(ADDRESS, data={**form, "csrf_token": "x"}).status_code == 403
    matches = [row[0] for row in desk.store.database.tuples("SELECT match_id FROM matches LIMIT 1")]
    judge(desk.store, matches, [Pair(0, clear_cut(1, 1)[0].evidence, 0.5, False)])
    changed = admin.post(ADDRESS, data=form, follow_redirects=False)
    assert (changed.status_code, "calibration.changed" in changed.text) == (409, True)
    assert desk.in_force == CLASSIC.name


def test_a_form_without_the_tick_does_not_force(desk: Desk) -> None:
    desk.begin(contrary())
    admin = _signed_in(desk, "admin")
    shown = admin.get(ADDRESS).text
    mark = re.search(r'name="fit" value="([^"]+)"', shown)
    assert mark
    form = {"fit": mark[1], "csrf_token": _token(shown)}
    refused = admin.post(ADDRESS, data=form, follow_redirects=False)
    assert (refused.status_code, "calibration.worse" in refused.text) == (409, True)
    assert desk.in_force == CLASSIC.name
    assert admin.post(ADDRESS, data={**form, "force": "1"}, follow_redirects=False).status_code == 303
    assert desk.in_force == f"{CLASSIC.name}+{SLUG}.1"
