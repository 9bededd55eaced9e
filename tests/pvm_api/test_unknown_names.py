"""A name that a request may not hold is refused, whatever the route, with the name that was meant."""

from __future__ import annotations

import uuid

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.pvm_api.drawn import jpeg

_ID = uuid.UUID(int=7)


def _filled(path: str) -> str:
    for name in ("match_id", "product_id", "video_id", "image_id", "frame_id"):
        path = path.replace(f"{{{name}}}", str(_ID))
    return path.replace("{job_id}", "no-such-job").replace("{industry}", "no-such-industry")


def test_every_route_refuses_a_parameter_it_does_not_take(shared_client: TestClient) -> None:
    app = shared_client.app
    assert isinstance(app, FastAPI)
    for path, operations in app.openapi()["paths"].items():
        for method in operations:
            answer = shared_client.request(method, _filled(path), params={"nonsens": "1"})
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (422, "request.invalid"), (method, path)
            assert "nonsens" in problem["detail"], (method, path)
            assert [one["loc"] for one in problem["errors"]] == ["query.nonsens"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/results?min-score=0.5", "did you mean min_score?"),
        ("/v1/results?industri=x", "did you mean industry?"),
        ("/v1/results?Status=accepted", "did you mean status?"),
        ("/v1/jobs?statuses=failed", "did you mean status?"),
        ("/v1/jobs?zzz=1", "there are archived, cursor, industry, limit, status"),
        ("/v1/industries/x?zzz=1", "none is taken here"),
    ],
)
def test_a_parameter_that_nearly_exists_is_named(shared_client: TestClient, path: str, said: str) -> None:
    answer = shared_client.get(path)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body", "loc", "said"),
    [
        ("POST", "/v1/jobs", {"industri": "x"}, "body.industri", "did you mean industry?"),
        ("POST", "/v1/jobs", {"industry": "x", "product": ["ebay"]}, "body.product", "mean products?"),
        ("POST", "/start-job", {"industry": "x", "top_amazon": 3}, "body.top_amazon", "mean top_amz?"),
        ("POST", "/v1/industries", {"name": "x", "every_hour": 3}, "body.every_hour", "mean every_hours?"),
        ("POST", "/v1/industries", {"name": "x", "sources": {"video": []}}, "body.sources.video", "videos?"),
        ("PATCH", "/v1/industries/x", {"querys": {}}, "body.querys", "did you mean queries?"),
        ("PUT", "/v1/industries/x/rules", {"ruleset": "default"}, "body.ruleset", "did you mean rule_set?"),
        ("POST", f"/v1/matches/{_ID}/label", {"verdikt": "accept"}, "body.verdikt", "mean verdict?"),
        ("POST", "/v1/jobs", {"industry": "x", "zzz": 1}, "body.zzz", "there are allow_outside, "),
    ],
)  # fmt: skip
def test_a_field_that_nearly_exists_is_named(
    shared_client: TestClient, method: str, path: str, body: dict[str, object], loc: str, said: str
) -> None:
    problem = shared_client.request(method, path, json=body).json()
    assert problem["status"] == 422
    assert (problem["errors"][0]["loc"], problem["errors"][0]["code"]) == (loc, "extra_forbidden")
    assert said in problem["detail"]


def test_a_field_of_a_form_as_well(shared_client: TestClient) -> None:
    file = {"picture": ("a.jpg", jpeg(1))}
    answer = shared_client.post("/v1/products/similar", files=file, data={"limit": "3"})
    assert "there is no field limit" in answer.json()["detail"]
    answer = shared_client.post("/v1/jobs", files={"catalogue": ("a.csv", b"x")}, data={"industri": "x"})
    assert answer.status_code == 422


def test_pages_take_what_a_mail_program_adds_to_their_links(shared_client: TestClient) -> None:
    assert shared_client.get("/review/session/in?utm_source=mail").status_code == 200
