"""The video's attention on the review page in a real Chromium: shown as it is found, by websocket or event
stream."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from pvm_jobs.events import Event
from pvm_resources.store.assembly import Store
from pvm_resources.store.attention import FaceSet, VideoAttention
from tests.pvm_api.review.conftest import Site, opened

pytestmark = pytest.mark.browser

_WAIT_MS = 60_000
#: A browser whose way to the API passes no websockets.
_NO_SOCKET = """
window.WebSocket = class { constructor() { setTimeout(() => this.onclose?.(), 0); } close() {} };
"""
#: What a script of the same site gets over both.
_FOLLOW = """
async ([job, after]) => {
  const path = `/v1/jobs/${job}/attention`;
  const socket = new Promise((done, fail) => {
    const one = new WebSocket(`${location.origin.replace("http", "ws")}${path}/socket?after=${after}`);
    one.onmessage = (said) => { done(JSON.parse(said.data)); one.close(); };
    one.onerror = () => fail(new Error("no websocket"));
  });
  const stream = new Promise((done) => {
    const one = new EventSource(`${path}/stream?after=${after}`);
    one.addEventListener("video.attention.ready", (said) => {
      done({ id: Number(said.lastEventId), event: said.type, data: JSON.parse(said.data) });
      one.close();
    });
  });
  return [await socket, await stream];
}
"""


@pytest.fixture
def job(site: Site) -> Iterator[str]:
    """The job of the shelf, without attention."""
    store = Store.over(site.database)
    job_id = store.review_queries.card(site.shelf.matches[0]).job_id
    store.attention.begin(job_id, "a1", "blazeface", "f1")
    yield job_id
    with site.database.transaction() as cursor:
        cursor.execute("DELETE FROM face_sets")
        cursor.execute("DELETE FROM attention_jobs")
        cursor.execute("DELETE FROM outbox WHERE name = 'video.attention.ready'")


def _found(site: Site, job: str, scores: list[float | None], key: str = "a1") -> uuid.UUID:
    """The attention of the first match's video is stored with its event; the video."""
    store = Store.over(site.database)
    video = store.review_queries.card(site.shelf.matches[0]).video_id
    store.attention.write_set(FaceSet(video, key.replace("a", "f"), "blazeface", 25.0, 10, 9, 1.0), [])
    known = [score for score in scores if score is not None]
    mean = sum(known) / len(known)
    seconds = [[n, score, 1.0, score, score, 1.0] for n, score in enumerate(scores)]
    track = {"track": 0, "score": mean, "seconds": seconds}
    told = {"video_id": str(video), "score": mean, "coverage": 1.0, "confidence": 0.5}
    store.attention.write_attention(
        VideoAttention(video, key.replace("a", "f"), key, mean, len(known) / len(scores), 0.5, 0, [track]),
        [Event(job, "video.attention.ready", str(uuid.uuid4()), told)],
    )
    return video


def _watched(page: Page, site: Site, way: str) -> None:
    page.goto(f"{site.url}/review/match/{site.shelf.matches[0]}")
    expect(page.locator("#attention")).to_have_attribute("data-connected", way, timeout=_WAIT_MS)
    expect(page.locator("#attention polyline")).to_have_count(0)


def test_the_curve_appears_when_it_is_found_and_follows(page: Page, site: Site, job: str) -> None:
    _watched(page, site, "socket")
    _found(site, job, [0.9, 0.7, None, 0.8])
    expect(page.locator("#attention polyline")).to_have_count(2, timeout=_WAIT_MS)
    expect(page.locator("#attention figcaption")).to_contain_text("0.800")
    expect(page.locator("#attention figcaption")).to_contain_text("75 %")
    _found(site, job, [0.2, 0.4])
    expect(page.locator("#attention figcaption")).to_contain_text("0.300", timeout=_WAIT_MS)
    expect(page.locator("#attention polyline")).to_have_count(1)


def test_without_websockets_the_page_takes_the_event_stream(browser: Browser, site: Site, job: str) -> None:
    page = opened(browser)
    page.add_init_script(_NO_SOCKET)
    _watched(page, site, "stream")
    _found(site, job, [0.6])
    expect(page.locator("#attention figcaption")).to_contain_text("0.600", timeout=_WAIT_MS)
    page.context.close()


def test_a_script_gets_the_same_by_websocket_and_by_event_stream(page: Page, site: Site, job: str) -> None:
    page.goto(f"{site.url}/review")
    after = Store.over(site.database).attention.place(job)
    video = _found(site, job, [0.5])
    socket, stream = page.evaluate(_FOLLOW, [job, after])
    assert socket == stream
    assert socket["event"] == "video.attention.ready"
    assert socket["data"]["video_id"] == str(video)
    assert socket["id"] > after


def test_a_reviewer_who_signed_in_follows_with_the_session(
    browser: Browser, site: Site, locked: tuple[str, dict[str, str]], job: str
) -> None:
    url, tokens = locked
    page = opened(browser)
    match = site.shelf.matches[0]
    page.goto(f"{url}/review/match/{match}")
    page.get_by_label("API key").fill(tokens["review"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**/review/match/{match}")
    expect(page.locator("#attention")).to_have_attribute("data-connected", "socket", timeout=_WAIT_MS)
    _found(site, job, [0.4])
    expect(page.locator("#attention figcaption")).to_contain_text("0.400", timeout=_WAIT_MS)
    assert page.faults == []  # type: ignore[attr-defined]
    page.context.close()


def test_two_detectors_have_a_curve_each(page: Page, site: Site, job: str) -> None:
    _watched(page, site, "socket")
    _found(site, job, [0.9])
    expect(page.locator("#attention figcaption")).to_have_count(1, timeout=_WAIT_MS)
    expect(page.locator("#attention")).not_to_contain_text("blazeface")
    Store.over(site.database).attention.begin(job, "a2", "haar", "f2", main=False)
    _found(site, job, [0.5], "a2")
    expect(page.locator("#attention figcaption")).to_have_count(2, timeout=_WAIT_MS)
    first, second = page.locator("#attention figcaption").all_inner_texts()
    assert "blazeface" in first
    assert "0.900" in first
    assert "haar" in second
    assert "0.500" in second
