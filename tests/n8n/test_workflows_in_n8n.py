"""The workflows of deploy/n8n, imported into a real n8n: from a webhook to matches with their proof."""

from __future__ import annotations

import cv2
import httpx
import numpy as np
import pytest

from tests.deploy.resume_endpoint import STARTED, ResumeEndpoint
from tests.deploy.workflows import NAMES
from tests.e2e.tiny import Tiny
from tests.n8n.real_n8n import N8n
from tests.n8n.standin_api import StandInApi, Story
from tests.n8n.started import INDUSTRY, Platform

pytestmark = pytest.mark.n8n

POLLING = "pvm-polling"
CALLBACK = "pvm-callback"
both = pytest.mark.parametrize("path", NAMES)


# -- against the platform -----------------------------------------------------------------------------


@both
def test_one_post_brings_matches_with_their_proof(
    n8n: N8n, started: tuple[Platform, str], tiny_case: Tiny, path: str
) -> None:
    platform, key = started
    answer = n8n.post(path, {"industry": INDUSTRY})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["status"] == "completed"
    assert {m["video"]: m["product"] for m in found["matches"]} == tiny_case.shown
    for match in found["matches"]:
        assert match["score"] >= 0.8
        assert match["job_id"] == found["job_id"]
        picture = platform.get(match["evidence_url"], key)
        assert picture.status_code == 200
        assert picture.headers["content-type"] == "image/jpeg"
        decoded = cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        assert decoded.size > 100_000
    # n8n itself fetched the proof as a file, by the node that ships switched off.
    execution = n8n.last_execution(holding='"image/jpeg"')
    assert execution.status == "success"
    assert '"image/jpeg"' in execution.data


def test_the_callback_came_once(n8n: N8n, started: tuple[Platform, str]) -> None:
    platform, _ = started
    answer = n8n.post(CALLBACK, {"industry": INDUSTRY, "min_score": 0.999})
    assert answer.status_code == 200, answer.text
    (delivery,) = platform.deliveries(answer.json()["job_id"])
    assert (delivery.name, delivery.state, delivery.attempts) == ("job.completed", "delivered", 1)
    assert delivery.url.startswith(f"{n8n.url}/webhook-waiting/")
    assert all(match["score"] >= 0.999 for match in answer.json()["matches"])


@both
def test_what_the_platform_refuses_is_said_with_its_remedy(n8n: N8n, path: str) -> None:
    answer = n8n.post(path, {"industry": "chưa ai biết"})
    assert answer.status_code == 422
    assert answer.json()["status"] == "refused"
    assert answer.json()["error"]["code"] == "request.no_products"
    assert answer.json()["error"]["remedy"]
    assert n8n.last_execution().status == "error"


# -- what the platform does not do on demand ----------------------------------------------------------


@both
def test_all_pages_are_read_in_order(n8n: N8n, standin: StandInApi, path: str) -> None:
    standin.tell(Story(pages=(("a", "b"), ("c", "d"), ("e",)), polls=1 if path == POLLING else 0))
    answer = n8n.post(f"{path}-standin", {"industry": "x", "min_score": 0.5})
    assert answer.status_code == 200, answer.text
    assert [m["match_id"] for m in answer.json()["matches"]] == ["a", "b", "c", "d", "e"]
    pages = standin.of("GET", "/v1/results")
    assert [one.query.get("cursor") for one in pages] == [None, ["1"], ["2"]]
    for one in pages:
        assert one.query.items() >= {"job": ["job-1"], "min_score": ["0.5"], "limit": ["200"]}.items()


@both
def test_no_match_is_an_empty_list(n8n: N8n, standin: StandInApi, path: str) -> None:
    standin.tell(Story(pages=((),)))
    answer = n8n.post(f"{path}-standin", {"industry": "x"})
    assert (answer.status_code, answer.json()["matches"]) == (200, [])
    assert n8n.last_execution().status == "success"


@both
def test_who_does_not_want_to_wait_is_answered_at_once(n8n: N8n, standin: StandInApi, path: str) -> None:
    standin.tell(Story(pages=(("a",), ("b",))))
    answer = n8n.post(f"{path}-standin", {"industry": "x", "wait": False})
    assert answer.status_code == 202
    assert answer.json()["status_url"] == f"{standin.url}/v1/jobs/job-1"
    execution = n8n.last_execution()
    assert execution.status == "success"
    assert len(standin.of("GET", "/v1/results")) == 2


@both
def test_only_what_the_caller_names_is_asked_for(n8n: N8n, standin: StandInApi, path: str) -> None:
    given = {"industry": INDUSTRY, "products": ["ebay"], "top": 7, "queries": {"vi": ["gối"]}}
    standin.tell(Story())
    n8n.post(f"{path}-standin", {**given, "min_score": 0.5, "anything": "else"})
    (asked,) = standin.of("POST", "/v1/jobs")
    callback = asked.body.pop("callback_url", None)
    assert asked.body == given
    assert (callback is not None) == (path == CALLBACK)
    # One question suffices although the answer has a field `error`.
    assert len(standin.of("GET", "/v1/jobs/")) == 1


@both
def test_a_request_that_got_lost_is_repeated_under_its_key(n8n: N8n, standin: StandInApi, path: str) -> None:
    standin.tell(Story(drops=1))
    assert n8n.post(f"{path}-standin", {"industry": "x"}).status_code == 200
    first, second = standin.of("POST", "/v1/jobs")
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    standin.tell(Story())
    n8n.post(f"{path}-standin", {"industry": "x"})
    (third,) = standin.of("POST", "/v1/jobs")
    assert third.headers["idempotency-key"] != first.headers["idempotency-key"]


@both
@pytest.mark.parametrize("ends", ["failed", "cancelled"])
def test_a_job_that_failed_says_why(n8n: N8n, standin: StandInApi, path: str, ends: str) -> None:
    standin.tell(Story(ends=ends, fault={"code": "request.x", "reason": "no pictures"}))
    answer = n8n.post(f"{path}-standin", {"industry": "x"})
    assert answer.status_code == 502
    said = answer.json()
    assert (said["status"], said["error"]["reason"]) == (ends, "no pictures")
    assert said["status_url"] == f"{standin.url}/v1/jobs/job-1"
    assert n8n.last_execution().status == "error"


@both
def test_a_page_that_cannot_be_read_is_no_last_page(n8n: N8n, standin: StandInApi, path: str) -> None:
    standin.tell(Story(pages=(("a",), ("b",), ("c",)), broken_page=1))
    answer = n8n.post(f"{path}-standin", {"industry": "x"})
    assert answer.status_code == 502
    assert answer.json()["status"] == "out of reach"
    assert "500" in answer.json()["error"]["detail"]


@both
def test_a_wrong_key_is_said(n8n: N8n, standin: StandInApi, path: str) -> None:
    standin.tell(Story())
    answer = n8n.post(f"{path}-wrong", {"industry": "x"})
    assert (answer.status_code, answer.json()["status"]) == (502, "refused")
    assert answer.json()["error"]["detail"] == "the API key is not known"
    # A refusal is not tried again.
    assert len(standin.of("POST", "/v1/jobs")) == 1


def test_polling_gives_up(n8n: N8n, standin: StandInApi) -> None:
    standin.tell(Story(polls=99))
    answer = n8n.post(f"{POLLING}-standin", {"industry": "x"})
    assert (answer.status_code, answer.json()["status"]) == (502, "running")
    assert len(standin.of("GET", "/v1/jobs/")) == 3


def test_a_callback_before_the_wait_is_put_off(n8n: N8n, standin: StandInApi) -> None:
    standin.tell(Story(early=True))
    answer = n8n.post(f"{CALLBACK}-standin", {"industry": "x"})
    assert answer.status_code == 200, answer.text
    statuses = [status for status, _ in standin.callbacks]
    assert statuses[0] == 409
    assert statuses.count(200) == 1


def test_the_stand_in_of_the_resume_endpoint_says_what_n8n_says(n8n: N8n, standin: StandInApi) -> None:
    standin.tell(Story(early=True))
    n8n.post(f"{CALLBACK}-standin", {"industry": "x"})
    url = standin.of("POST", "/v1/jobs")[0].body["callback_url"]
    number = int(url.rpartition("/")[2])
    assert n8n.last_execution().status == "success"
    ours = ResumeEndpoint()
    try:
        own, _ = ours.execution(number, busy=1)
        running = httpx.post(own, json={})
        started = httpx.post(own, json={})
        assert (running.status_code, _without_hints(running.json())) == _plain(standin.callbacks[0])
        assert (started.status_code, started.json()) == (200, STARTED) == standin.callbacks[-1]
        assert _said(httpx.post(own, json={})) == _said(httpx.post(url, json={}))
        unknown = number + 1_000_000
        assert _said(httpx.post(own.replace(str(number), str(unknown)), json={})) == _said(
            httpx.post(url.replace(f"/{number}", f"/{unknown}"), json={})
        )
    finally:
        ours.close()


def _said(answer: httpx.Response) -> tuple[int, object]:
    return _plain((answer.status_code, answer.json()))


def _plain(answer: tuple[int, dict[str, object]]) -> tuple[int, object]:
    return answer[0], _without_hints(answer[1])


def _without_hints(content: dict[str, object]) -> dict[str, object]:
    """Outside production n8n adds where in its code the error came from."""
    return {name: value for name, value in content.items() if name not in ("stacktrace", "hint")}
