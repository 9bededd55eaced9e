"""The HTML report in a real Chromium, opened from the disk: filters, phone, colours, nothing fetched."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from typer.testing import CliRunner

from pvm_cli.main import app as cli
from pvm_core.report.model import Report
from pvm_core.report.page import render_report
from tests.pvm_api.review.conftest import Site, forget
from tests.pvm_cli.test_report import MATCH, REPORT

pytestmark = pytest.mark.browser


def _opened(browser: Browser, path: Path, **options: Any) -> Page:
    context = browser.new_context(**{"viewport": {"width": 1300, "height": 900}, **options})
    page = context.new_page()
    page.faults = []  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.faults.append(str(error)))  # type: ignore[attr-defined]
    page.on("console", lambda said: page.faults.append(said.text))  # type: ignore[attr-defined]
    page.on(
        "request",
        lambda asked: None if asked.url.startswith(("file:", "data:")) else page.faults.append(asked.url),  # type: ignore[attr-defined]
    )
    page.goto(path.as_uri())
    return page


def _several() -> Report:
    return replace(REPORT, matches=(
        MATCH,
        replace(MATCH, match_id="m2", title="Đệm hơi", price="90", score=0.88, platform="bilibili"),
        replace(MATCH, match_id="m3", title="Bàn gỗ", price="", score=0.71, status="review",
                scored_status="review", video="A clip", thumbnail=None, evidence=None, missing="purged"),
    ))  # fmt: skip


def test_filters_work_without_a_server(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_report(_several()), encoding="utf-8")
    page = _opened(browser, path)
    shown = page.locator("article:visible h3")
    expect(shown).to_have_text(["Gối cao su non", "Đệm hơi", "Bàn gỗ"])
    page.fill("#q", "dem HOI")
    expect(shown).to_have_text(["Đệm hơi"])
    expect(page.locator("#found")).to_have_text("1 of 3 shown")
    page.fill("#q", "")
    page.select_option("#status", "review")
    expect(shown).to_have_text(["Bàn gỗ"])
    page.select_option("#status", "")
    page.select_option("#platform", "bilibili")
    expect(shown).to_have_text(["Đệm hơi"])
    page.select_option("#platform", "")
    page.fill("#least", "0.9")
    expect(shown).to_have_text(["Gối cao su non"])
    page.fill("#least", "0.99")
    expect(page.locator("#none")).to_be_visible()
    page.fill("#least", "")
    page.select_option("#order", "price")
    expect(shown).to_have_text(["Đệm hơi", "Gối cao su non", "Bàn gỗ"])
    page.locator("article:visible summary").first.click()
    expect(page.locator("details[open] img")).to_be_visible()
    assert page.evaluate("[...document.images].every((i) => !i.complete || i.naturalWidth > 0)")
    assert page.faults == []  # type: ignore[attr-defined]
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_legible_on_a_phone_in_both_colours(browser: Browser, tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_report(_several(), "vi"), encoding="utf-8")
    page = _opened(browser, path, viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing runs over the side"
    sizes = page.evaluate(
        "[...document.querySelectorAll('p, h3, a, span, summary')]"
        ".filter((e) => e.innerText && e.offsetParent)"
        ".map((e) => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 12
    taps = page.locator("a.button:visible, summary:visible, select:visible, input:visible")
    assert all((box := one.bounding_box()) and box["height"] >= 40 for one in taps.all())
    colours = page.evaluate(
        "(() => { const of = (e) => getComputedStyle(e); const c = document.querySelector('.match');"
        "return [of(c).backgroundColor, of(c.querySelector('h3')).color]; })()"
    )
    ground, ink = ([int(part) for part in re.findall(r"\d+", colour)[:3]] for colour in colours)
    assert (sum(ground) > sum(ink)) == (scheme == "light")
    page.locator("summary").first.click()
    picture = page.locator("details[open] img")
    assert (picture.bounding_box() or {})["width"] >= 900, "evidence is read by scrolling, not shrunk"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.faults == []  # type: ignore[attr-defined]
    page.context.close()


def test_the_report_of_a_job_opens_from_the_disk(
    site: Site, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(site.database)
    monkeypatch.setenv("PVM_HOME", str(site.settings.home))
    monkeypatch.setenv("PVM_DATABASE_URL", site.database.dsn)
    done = CliRunner().invoke(cli, ["report", "-i", site.shelf.industry, "-o", str(tmp_path / "out.html")])
    assert done.exit_code == 0, done.output
    page = _opened(browser, tmp_path / "out.html")
    expect(page.locator("article:visible")).to_have_count(4)
    expect(page.locator("h1")).to_have_text("Gối công thái học")
    first = page.locator("article img.thumb").first
    assert first.evaluate("(i) => i.decode().then(() => i.naturalWidth)") == 560
    assert page.faults == []  # type: ignore[attr-defined]
    page.context.close()
