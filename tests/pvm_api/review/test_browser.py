"""The review page in a real Chromium: keys, undo, filters, links into it, pages, languages, colours, video,
forms without scripts, sign-in."""

from __future__ import annotations

import re
import time
import uuid

import pytest
from playwright.sync_api import Browser, Page, expect

from pvm_jobs.source_policy import parse_policies
from pvm_resources.store.labels import Labels
from tests.pvm_api.review.conftest import Site, forget, opened

pytestmark = pytest.mark.browser


def _said(site: Site) -> list[tuple[uuid.UUID, str]]:
    found = Labels(site.database, parse_policies("")).list(100)
    return [(label.match_id, label.verdict) for label in reversed(found)]


def _now(page: Page) -> str:
    return str(page.locator(".card.now").get_attribute("data-match"))


def _grid(page: Page, site: Site, query: str = "") -> None:
    page.goto(f"{site.url}/review/{site.shelf.industry}{query}")
    page.locator(".card.now").wait_for()


def test_a_row_of_matches_is_judged_by_keys_alone(page: Page, site: Site) -> None:
    first, second, third, *_ = site.shelf.matches
    _grid(page, site)
    assert _now(page) == str(first)
    page.keyboard.press("a")
    expect(page.locator("#say")).to_contain_text("Right:")
    assert _now(page) == str(second)
    page.keyboard.press("r")
    page.keyboard.press("s")
    expect(page.locator(f"#m-{third}")).to_have_attribute("data-verdict", "unsure")
    assert _said(site) == [(first, "accept"), (second, "reject"), (third, "unsure")]
    expect(page.locator("#tally")).to_contain_text("50.0")
    page.keyboard.press("u")
    expect(page.locator("#say")).to_contain_text("Taken back:")
    assert _now(page) == str(third)
    page.keyboard.press("u")
    expect(page.locator(f"#m-{second}")).to_have_attribute("data-verdict", "")
    assert _said(site) == [(first, "accept")]
    page.keyboard.press("a")
    expect(page.locator(f"#m-{second}")).to_have_attribute("data-verdict", "accept")
    page.reload()
    expect(page.locator(f"#m-{second} .said")).to_have_text("Judged right")
    expect(page.locator(f"#m-{second} button.accept")).to_have_attribute("aria-pressed", "true")


def test_a_verdict_changes_the_status_that_is_shown(page: Page, site: Site) -> None:
    first = site.shelf.matches[0]
    _grid(page, site)
    card = page.locator(f"#m-{first}")
    expect(card.locator(".status")).to_have_text("Accepted")
    expect(card.locator(".scored")).to_have_count(0)
    page.keyboard.press("r")
    expect(card.locator(".status")).to_have_text("Rejected")
    expect(card.locator(".scored")).to_have_text("by score: Accepted")
    expect(card.locator(".score")).to_have_class("score rejected")
    expect(card.locator(".score")).to_contain_text("0.962")
    _grid(page, site, "?status=accepted")
    expect(page.locator(f"#m-{first}")).to_have_count(0)
    expect(page.locator(".card")).to_have_count(3)
    page.goto(f"{site.url}/review/match/{first}")
    expect(page.locator(".naming .status")).to_have_text("Rejected")
    page.goto(f"{site.url}/review")
    expect(page.locator(".counts .accepted")).to_contain_text("3")
    expect(page.locator(".counts .rejected")).to_contain_text("3")


def test_the_rival_is_shown_with_its_picture_and_score(page: Page, site: Site) -> None:
    contested, rival = site.shelf.matches[4], site.shelf.products[1]
    page.goto(f"{site.url}/review/match/{contested}")
    box = page.locator(".rival")
    expect(box).to_contain_text("Rival 0.830")
    expect(box).to_contain_text(rival.title)
    picture = box.locator("img")
    assert picture.evaluate("(i) => i.decode().then(() => i.naturalWidth)") > 100
    expect(page.locator("#parts")).to_have_text(
        "Best pair 0.850, held down to 0.799: it cannot be accepted by itself."
    )
    page.goto(f"{site.url}/review/match/{site.shelf.matches[0]}")
    expect(page.locator(".rival")).to_have_count(0)


def test_evidence_speaks_the_language_of_the_page_and_follows_the_verdict(page: Page, site: Site) -> None:
    match = site.shelf.matches[0]
    page.goto(f"{site.url}/review/match/{match}")
    expect(page.locator("#evidence")).to_have_attribute("src", f"/v1/matches/{match}/evidence")
    english = _pixels(page)
    assert english == _pixels(page)
    page.locator("header a[lang=vi]").click()
    expect(page.locator("#evidence")).to_have_attribute("src", f"/v1/matches/{match}/evidence?lang=vi")
    assert _pixels(page) != english
    page.locator("header a[lang=en]").click()
    page.goto(f"{site.url}/review/{site.shelf.industry}")
    thumb = page.locator(f"#m-{match} img")
    before = thumb.get_attribute("src")
    page.locator(f"#m-{match} button.reject").click()
    expect(page.locator(f"#m-{match} .status")).to_have_text("Rejected")
    assert thumb.get_attribute("src") != before
    thumb.evaluate("(i) => i.decode()")
    page.goto(f"{site.url}/review/match/{match}")
    assert _pixels(page) != english, "what people judged wrong is drawn as rejected"


def _pixels(page: Page) -> str:
    """The evidence picture in short."""
    return str(page.evaluate(
        "(async () => { const i = document.querySelector('#evidence'); await i.decode();"
        "const c = document.createElement('canvas'); c.width = i.naturalWidth; c.height = i.naturalHeight;"
        "c.getContext('2d').drawImage(i, 0, 0); return c.toDataURL('image/png').length; })()"
    ))  # fmt: skip


def test_keys_move_zoom_open_and_help(page: Page, site: Site) -> None:
    ids = [str(match) for match in site.shelf.matches]
    _grid(page, site)
    page.keyboard.press("j")
    page.keyboard.press("ArrowRight")
    assert _now(page) == ids[2]
    page.keyboard.press("k")
    assert _now(page) == ids[1]
    page.keyboard.press("ArrowDown")
    assert _now(page) == ids[1 + _columns(page)]
    page.keyboard.press("ArrowUp")
    assert _now(page) == ids[1]
    page.keyboard.press("z")
    large = page.locator("#large")
    expect(large).to_be_visible()
    expect(large.locator("img")).to_have_attribute("src", f"/v1/matches/{ids[1]}/evidence")
    page.keyboard.press("+")
    assert float(str(large.locator(".viewer").get_attribute("data-scale"))) == pytest.approx(1.4)
    page.keyboard.press("0")
    page.keyboard.press("a")
    assert _said(site) == [], "keys of the list do nothing behind a dialog"
    page.keyboard.press("Escape")
    expect(large).to_be_hidden()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("?")
    page.keyboard.press("/")
    page.keyboard.type("rau")
    assert _said(site) == [], "letters typed into the search judge nothing"
    page.keyboard.press("Escape")
    page.locator(f"#m-{ids[3]}").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/review/match/{ids[3]}*")


def _columns(page: Page) -> int:
    tops = page.locator(".card").evaluate_all("cards => cards.map(card => card.offsetTop)")
    return sum(top == tops[0] for top in tops)


def test_filters_and_orders(page: Page, site: Site) -> None:
    Labels(site.database, parse_policies("")).give(site.shelf.matches[0], "accept", "Lan")
    _grid(page, site)
    page.get_by_label("For review", exact=True).check()
    page.wait_for_url("**?status=review")
    expect(page.locator(".card")).to_have_count(3)
    page.get_by_role("link", name="Clear filters").click()
    page.get_by_label("Not judged").check()
    page.wait_for_url("**said=open*")
    # Not the two that are rejected, and the closest call first.
    expect(page.locator(".card")).to_have_count(6)
    assert page.locator(".card .score").first.inner_text().endswith("0.799")
    page.get_by_label("Order").select_option("best")
    page.wait_for_url("**sort=best*")
    assert page.locator(".card .score").first.inner_text().endswith("0.931")
    page.get_by_label("Rejected", exact=True).check()
    page.wait_for_url("**status=rejected*")
    expect(page.locator(".card")).to_have_count(2)
    page.goto(f"{site.url}/review")
    page.get_by_role("link", name="Review what is open (6)").click()
    assert page.locator(".card .score").first.inner_text().endswith("0.799")
    page.goto(f"{site.url}/review/job-1?min=0.7&max=0.9&sort=worst")
    scores = page.locator(".card .score").evaluate_all("all => all.map(one => one.lastChild.textContent)")
    assert scores == ["0.741", "0.799", "0.823", "0.874"]
    page.goto(f"{site.url}/review/job-1?sort=doubt")
    assert page.locator(".card .score").first.inner_text().endswith("0.799")
    page.goto(f"{site.url}/review/job-1")
    page.get_by_role("searchbox").fill("hololo")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=hololo*")
    expect(page.locator(".card")).to_have_count(3)
    page.goto(f"{site.url}/review/job-1?q=100%25_")
    expect(page.locator(".empty")).to_be_visible()
    page.goto(f"{site.url}/review/job-1")
    page.locator(".card").nth(1).get_by_title("Only this video").click()
    expect(page.locator(".card")).to_have_count(3)
    expect(page.locator(".chip.off")).to_contain_text("Top 5")


def test_one_match_is_judged_and_the_next_open_one_comes(page: Page, site: Site) -> None:
    ids = [str(match) for match in site.shelf.matches]
    Labels(site.database, parse_policies("")).give(site.shelf.matches[1], "reject", "Minh")
    page.goto(f"{site.url}/review/match/{ids[0]}?status=accepted")
    page.keyboard.press("a")
    page.wait_for_url(f"**/review/match/{ids[2]}?status=accepted&last={ids[0]}")
    expect(page.locator(".again")).to_contain_text("Judged right")
    page.keyboard.press("r")
    page.wait_for_url(f"**/review/match/{ids[3]}*")
    page.keyboard.press("u")
    page.wait_for_url(f"**/review/match/{ids[2]}*")
    expect(page.locator(".naming .said")).to_have_text("Not judged")
    expect(page.locator(".history li")).to_have_count(2)
    page.keyboard.press("j")
    page.wait_for_url(f"**/review/match/{ids[3]}*")
    page.keyboard.press("k")
    page.wait_for_url(f"**/review/match/{ids[2]}*")
    page.keyboard.press("a")
    page.wait_for_url(f"**/review/match/{ids[3]}*")
    page.keyboard.press("a")
    page.wait_for_url("**/review/job-1?status=accepted&done=1")
    expect(page.locator("#say")).to_contain_text("judged")
    assert [verdict for _, verdict in _said(site)] == ["reject", "accept", "accept", "accept"]


def test_a_link_into_the_middle_opens_there(page: Page, site: Site) -> None:
    match = site.shelf.matches[4]
    page.goto(f"{site.url}/review/job-1?sort=best#m-{match}")
    page.locator(".card.now").wait_for()
    assert _now(page) == str(match)
    page.goto(f"{site.url}/review/match/{match}?sort=worst")
    assert page.locator("a[rel=next].button").get_attribute("href") == (
        f"/review/match/{site.shelf.matches[3]}?sort=worst"
    )


def test_pictures_zoom_and_move(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/review/match/{site.shelf.matches[0]}")
    viewer = page.locator(".pair .viewer").first
    viewer.focus()
    page.keyboard.press("+")
    page.keyboard.press("+")
    assert float(str(viewer.get_attribute("data-scale"))) == pytest.approx(1.96)
    before = viewer.locator("img").evaluate("img => img.style.transform")
    page.keyboard.press("ArrowRight")
    assert viewer.locator("img").evaluate("img => img.style.transform") != before
    assert page.url.endswith(str(site.shelf.matches[0])), "arrows move within a picture that is zoomed"
    page.locator(".pair [data-zoom=fit]").first.click()
    assert viewer.get_attribute("data-scale") == "1.00"
    viewer.dblclick()
    assert viewer.get_attribute("data-scale") == "3.00"
    for picture in page.locator(".viewer img:visible").all():
        assert picture.evaluate("img => img.naturalWidth") > 100


def test_the_video_stands_at_the_second_of_the_match(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/review/match/{site.shelf.matches[4]}")
    video = page.locator("video")
    page.wait_for_function("document.querySelector('video').readyState >= 1")
    page.wait_for_function("Math.abs(document.querySelector('video').currentTime - 3) < 0.2")
    video.evaluate("video => { video.currentTime = 0; }")
    page.locator("[data-seek]").click()
    page.wait_for_function("document.querySelector('video').currentTime >= 2.9")
    href = str(page.get_by_role("link", name=re.compile("Open video at")).get_attribute("href"))
    assert href == "https://www.youtube.com/watch?v=abc123&t=3"


def test_what_was_purged_shows_links_and_attribution(page: Page, site: Site) -> None:
    purged = site.shelf.matches[7]
    _grid(page, site)
    card = page.locator(f"#m-{purged}")
    expect(card).to_contain_text("terms")
    expect(card).to_contain_text("Item data and pictures from eBay")
    assert card.locator("img").count() == 0
    page.goto(f"{site.url}/review/match/{purged}")
    expect(page.locator(".gone")).to_contain_text("Item data and pictures from eBay")
    assert page.locator(".pictures img").count() == 0
    product = page.locator(".gone").get_by_role("link", name="Open product")
    assert product.get_attribute("href") == "https://www.ebay.com/itm/7"


def test_language_and_colours_are_kept(browser: Browser, site: Site) -> None:
    page = opened(browser, locale="vi-VN", color_scheme="dark")
    _grid(page, site)
    assert page.locator("html").get_attribute("lang") == "vi"
    expect(page.locator(".card .status").first).to_have_text("Chấp nhận")
    dark = _background(page)
    page.get_by_role("link", name="Sáng").click()
    page.wait_for_load_state()
    light = _background(page)
    assert sum(dark) < 120 < 600 < sum(light)
    page.get_by_role("link", name="English").click()
    expect(page.locator(".card .status").first).to_have_text("Accepted")
    page.goto(f"{site.url}/review/match/{site.shelf.matches[4]}")
    expect(page.locator("#why + p")).to_contain_text("Another product fits the same place")
    page.get_by_role("link", name="Tiếng Việt").click()
    expect(page.locator("#why + p")).to_contain_text("Một sản phẩm khác khớp cùng vị trí")
    assert _background(page) == light
    page.context.close()


def _background(page: Page) -> list[int]:
    colour = str(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    return [int(part) for part in re.findall(r"\d+", colour)[:3]]


def test_without_scripts_forms_do_the_same(browser: Browser, site: Site) -> None:
    forget(site.database)
    first = site.shelf.matches[0]
    page = opened(browser, java_script_enabled=False)
    page.goto(f"{site.url}/review/{site.shelf.industry}")
    page.locator(f"#m-{first} button.reject").click()
    assert page.url.endswith(f"/review/{site.shelf.industry}#m-{first}")
    expect(page.locator(f"#m-{first} .said")).to_have_text("Judged wrong")
    page.locator(f"#m-{first} button.undo").click()
    expect(page.locator(f"#m-{first} .said")).to_have_text("Not judged")
    page.locator("label:has(input[value=rejected])").click()
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".card")).to_have_count(2)
    page.goto(f"{site.url}/review/job-1?limit=4")
    page.get_by_role("link", name="Show more").click()
    expect(page.locator(".card")).to_have_count(4)
    page.get_by_role("link", name="Show more").click()
    expect(page.locator(".card")).to_have_count(1)
    page.goto(f"{site.url}/review/match/{first}")
    page.locator(".facts button.accept").click()
    assert f"/review/match/{site.shelf.matches[1]}" in page.url
    assert _said(site) == [(first, "accept")]
    page.context.close()


def test_pages_follow_as_one_scrolls(page: Page, site: Site) -> None:
    _grid(page, site, "?limit=4")
    page.mouse.wheel(0, 5_000)
    expect(page.locator(".card")).to_have_count(9)
    ids = page.locator(".card").evaluate_all("cards => cards.map(card => card.dataset.match)")
    assert ids == [str(match) for match in site.shelf.matches]
    expect(page.locator("#more")).to_have_count(0)


def test_a_verdict_that_is_not_saved_is_told(browser: Browser, site: Site) -> None:
    forget(site.database)
    page = opened(browser)
    _grid(page, site)
    page.route("**/verdict", lambda route: route.abort())
    page.keyboard.press("a")
    expect(page.locator("#say")).to_contain_text("It was not saved:")
    expect(page.locator(f"#m-{site.shelf.matches[0]} .said")).to_have_text("Not judged")
    assert _said(site) == []
    page.context.close()


def test_sign_in_review_and_sign_out(
    browser: Browser, site: Site, locked: tuple[str, dict[str, str]]
) -> None:
    url, tokens = locked
    forget(site.database)
    page = opened(browser)
    page.goto(f"{url}/review/job-1?sort=worst")
    assert "/review/session/in?back=" in page.url
    for wrong in ("pvm_wrong", tokens["read"], tokens["run"]):
        page.get_by_label("API key").fill(wrong)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("#wrong")).to_be_visible()
    page.get_by_label("API key").fill(tokens["review"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/review/job-1?sort=worst")
    (cookie,) = [one for one in page.context.cookies() if one["name"] == "pvm_review"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    page.locator(".card.now").wait_for()
    page.keyboard.press("a")
    expect(page.locator("#say")).to_contain_text("Right:")
    assert Labels(site.database, parse_policies("")).list(1)[0].who == "Lan (review)"
    page.goto(f"{url}/review/match/{site.shelf.matches[0]}")
    page.wait_for_load_state("networkidle")
    assert page.locator("#evidence").evaluate("img => img.naturalWidth") > 100
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/review/session/in")
    page.goto(f"{url}/review")
    assert "/review/session/in" in page.url
    page.context.close()


def test_a_revoked_key_ends_its_sessions(
    browser: Browser, site: Site, locked: tuple[str, dict[str, str]]
) -> None:
    from pvm_resources.store.api_keys import Keys

    key, token = Keys(site.database).create("Tam", ["review"])
    page = opened(browser)
    page.goto(f"{locked[0]}/review")
    page.get_by_label("API key").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/review")
    Keys(site.database).revoke(key.key_id)
    deadline = time.monotonic() + 15
    while "/session/in" not in page.url and time.monotonic() < deadline:
        page.wait_for_timeout(500)
        page.goto(f"{locked[0]}/review")
    assert "/session/in" in page.url
    page.context.close()


def test_filters_fold_on_a_phone_and_stay_open_elsewhere(browser: Browser, page: Page, site: Site) -> None:
    _grid(page, site)
    expect(page.get_by_label("Order")).to_be_visible()
    expect(page.locator(".fold summary")).to_be_hidden()

    phone = opened(browser, viewport={"width": 390, "height": 844}, has_touch=True)
    _grid(phone, site)
    expect(phone.get_by_label("Order")).to_be_hidden()
    assert phone.locator(".card").first.bounding_box()["y"] < 844, "a match is on the first screen"  # type: ignore[index]
    phone.locator(".fold summary").tap()
    expect(phone.get_by_label("Order")).to_be_visible()
    phone.get_by_label("Order").select_option("worst")
    phone.wait_for_url("**sort=worst**")
    assert phone.faults == []  # type: ignore[attr-defined]
    phone.context.close()


def test_on_a_phone_the_evidence_stands_upright_with_letters_one_can_read(
    browser: Browser, page: Page, site: Site
) -> None:
    path = f"{site.url}/review/match/{site.shelf.matches[1]}"
    phone = opened(
        browser, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=3
    )
    phone.goto(path)
    evidence = phone.locator("#evidence")
    expect(evidence).to_have_js_property("complete", True)
    assert evidence.evaluate("one => one.currentSrc").endswith("layout=portrait")
    shown, natural = (
        evidence.bounding_box(),
        evidence.evaluate("one => [one.naturalWidth, one.naturalHeight]"),
    )
    assert shown is not None
    # The smallest letters are set 26 pixels high.
    assert 26 * shown["width"] / natural[0] >= 12
    assert shown["height"] > shown["width"] > 340
    viewer = phone.locator("[data-viewer]", has=evidence)
    assert viewer.evaluate("one => getComputedStyle(one).touchAction") == "pan-y", "the page scrolls over it"
    phone.get_by_role("button", name="Zoom in: Evidence").tap()
    assert viewer.evaluate("one => getComputedStyle(one).touchAction") == "none", "it moves under the finger"
    assert phone.faults == []  # type: ignore[attr-defined]
    phone.context.close()

    page.goto(path)
    expect(page.locator("#evidence")).to_have_js_property("complete", True)
    assert "portrait" not in page.locator("#evidence").evaluate("one => one.currentSrc")
