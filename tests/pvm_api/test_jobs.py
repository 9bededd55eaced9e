"""Jobs over HTTP: accepted once, refused with reasons, cancelled, tried again, put away."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pvm_api.app import create_app
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings, load_settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.inbox import Inbox
from tests.outbox import Outbox
from tests.pvm_resources.world import World

_URL = "https://shop.example/products.csv"
_GOOD: dict[str, Any] = {"industry": "giày", "products": [_URL], "videos": ["youtube"]}
_CATALOGUE = (
    b"product_id,title,image\np1,Pillow,https://shop.example/p1.jpg\np2,Shoe,https://shop.example/p2.jpg\n"
)


def _counts(database: Database) -> tuple[int, int]:
    return tuple(  # type: ignore[return-value]
        int(database.value(f"SELECT count(*) FROM {table}")) for table in ("jobs", "inbox")
    )


@pytest.mark.parametrize("path", ["/v1/jobs", "/start-job", "/orchestrator/start-job"])
def test_a_request_is_accepted_as_job_and_order_in_one(
    client: TestClient, database: Database, repos: Store, path: str
) -> None:
    answer = client.post(path, json=_GOOD)
    assert answer.status_code == 202
    body = answer.json()
    assert answer.headers["location"] == body["status_url"]
    assert client.get(body["status_url"]).json()["status"] == "queued"
    (row,) = Inbox(database).rows()
    assert (row.topic, row.job_id, row.status) == ("job.start", body["job_id"], "received")
    job = repos.jobs.get(body["job_id"])
    assert job.request == {"products": [_URL], "videos": ["youtube"]}


def test_the_founding_names_are_understood(client: TestClient, repos: Store) -> None:
    asked = {"industry": "gối", "top_amz": 5, "top_ebay": 7, "queries": ["gối công thái học"],
             "platforms": ["YouTube", "bilibili"], "recency_days": 365}  # fmt: skip
    job = repos.jobs.get(client.post("/start-job", json=asked).json()["job_id"])
    assert job.request == {
        "products": ["ebay", "amazon"],
        "videos": ["youtube", "bilibili"],
        "tops": {"amazon": 5, "ebay": 7},
        "queries": {"und": ["gối công thái học"]},
        "recency_days": 365,
    }


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"products": ["ebay"]}, "EBAY_CLIENT_ID"),
        ({"products": [_URL, "amazon"]}, "AMAZON_CREDENTIAL_ID"),
        ({"top_ebay": 5}, "EBAY_CLIENT_ID"),
        ({"products": [_URL], "videos": ["bilibili"]}, "PVM_YTDLP_COOKIES"),
    ],
)
def test_a_source_that_is_not_set_up_is_refused_at_once(
    settings: Settings, database: Database, media: MediaStore, tokens: dict[str, str],
    asked: dict[str, Any], named: str,
) -> None:  # fmt: skip
    bare = load_settings(
        settings.home / "none.env", home=settings.home, ytdlp_cookies=settings.home / "none.txt"
    )
    headers = {"X-API-Key": tokens["run"]}
    with TestClient(create_app(bare, database, media), headers=headers) as client:
        answer = client.post("/v1/jobs", json={"industry": "giày", **asked})
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "request.not_configured")
        assert named in problem["detail"]
        assert problem["remedy"]
        assert _counts(database) == (0, 0)
        assert client.get("/v1/industries").json()["items"] == [], "nothing is stored of it"
        empty = client.post("/v1/jobs", json={"industry": "giày", "products": [], "videos": []})
        assert empty.json()["code"] == "request.no_products"


def test_a_standing_source_that_is_not_set_up_ends_no_job(
    settings: Settings, database: Database, media: MediaStore, repos: Store, tokens: dict[str, str]
) -> None:
    bare = load_settings(settings.home / "none.env", home=settings.home)
    slug = repos.industries.ensure("giày").slug
    repos.industries.set_sources(slug, {"products": ["ebay", _URL], "videos": ["youtube"]})
    headers = {"X-API-Key": tokens["run"]}
    with TestClient(create_app(bare, database, media), headers=headers) as client:
        assert client.post("/v1/jobs", json={"industry": slug}).status_code == 202


def test_standing_sources_fill_the_gaps(client: TestClient, repos: Store) -> None:
    slug = repos.industries.ensure("gối công thái học").slug
    repos.industries.set_sources(slug, {"products": "/srv/pillows.csv", "videos": ["/srv/clips"]})
    answer = client.post("/v1/jobs", json={"industry": slug})
    job = repos.jobs.get(answer.json()["job_id"])
    assert job.request == {"products": ["/srv/pillows.csv"], "videos": ["/srv/clips"]}
    shown = client.get(f"/v1/jobs/{job.job_id}").json()["request"]
    assert shown["products"] == ["pillows.csv"], "no path of this machine is told"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"industry": None}, "request.invalid"),
        ({"industry": ""}, "request.invalid"),
        ({"industry": "   "}, "industry.name"),
        ({"industry": "x" * 201}, "request.invalid"),
        ({"industry": "a\x00b"}, "industry.name"),
        ({"industry": "\ud800"}, None),
        ({"surprise": 1}, "request.invalid"),
        ({"products": ["/etc/passwd"]}, "source.forbidden"),
        ({"products": ["../../etc/passwd"]}, "source.forbidden"),
        ({"products": ["file:///etc/passwd"]}, "source.forbidden"),
        ({"products": ["ebay\x00"]}, "source.forbidden"),
        ({"products": ["\ud800"]}, "source.forbidden"),
        ({"videos": ["https://shop.example/\ud800"]}, "source.url"),
        ({"products": ["http://user:pw@shop.example/x.csv"]}, "source.url"),
        ({"products": ["http://["]}, "source.url"),
        ({"products": ["upload:" + "0" * 64 + ".csv"]}, "upload.unknown"),
        ({"products": ["upload:../../etc/passwd"]}, "source.forbidden"),
        ({"videos": ["/home"]}, "source.forbidden"),
        ({"products": [f"x{n}" for n in range(21)]}, "request.sources"),
        ({"top": 0}, "request.invalid"),
        ({"top": 1.5}, "request.invalid"),
        ({"top": 10**30}, "request.invalid"),
        ({"tops": {"ebay": -1}}, "request.top"),
        ({"queries": {"vietnamese": ["x"]}}, "request.queries"),
        ({"queries": {"vi": ["x" * 300]}}, "request.queries"),
        ({"platforms": ["tiktok"], "videos": None}, "request.platforms"),
        ({"top_amz": 0, "top_ebay": 0, "products": None}, "request.top"),
        ({"callback_url": "http://127.0.0.1/x"}, "fetch.address"),
        ({"callback_url": "http://localhost/x"}, "fetch.address"),
        ({"callback_url": "http://[::ffff:127.0.0.1]/x"}, "fetch.address"),
        ({"callback_url": "http://0x7f000001/x"}, "fetch.address"),
        ({"callback_url": "http://169.254.169.254/latest/meta-data"}, "fetch.address"),
        ({"callback_url": "https://example.com:22/"}, "fetch.port"),
        ({"callback_url": "gopher://example.com/"}, "fetch.url"),
        ({"callback_url": "javascript:alert(1)"}, "fetch.url"),
    ],
)
def test_a_bad_request_is_refused_and_leaves_nothing(
    shared_client: TestClient, change: dict[str, Any], code: str | None
) -> None:
    body = {name: value for name, value in {**_GOOD, **change}.items() if value is not None}
    answer = shared_client.post(
        "/v1/jobs", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == 422
    assert problem["request_id"] == answer.headers["x-request-id"]
    if code is not None:
        assert problem["code"] == code
    assert shared_client.get("/v1/jobs").json()["items"] == []
    assert shared_client.get("/v1/industries").json()["items"] == []


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "application/json", 422),
        (b"{", "application/json", 422),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (b"[" * 100_000, "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"industry=x", "application/x-www-form-urlencoded", 415),
        (b"x", "text/plain", 415),
        (b"x", "multipart/form-data", 400),
        (b"{" + b" " * 60_000_000 + b"}", "application/json", 413),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_body_that_is_no_request(shared_client: TestClient, content: bytes, kind: str, status: int) -> None:
    answer = shared_client.post("/v1/jobs", content=content, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_text_is_text(client: TestClient, repos: Store) -> None:
    for text in ("'; DROP TABLE jobs; --", "<script>alert(1)</script>", "%s %(x)s", "𝄞 {} \\"):
        asked = {**_GOOD, "industry": text, "queries": {"vi": [text]}}
        answer = client.post("/v1/jobs", json=asked)
        assert answer.status_code == 202
        job = repos.jobs.get(answer.json()["job_id"])
        assert repos.industries.get(job.industry).name == text
        assert job.request["queries"] == {"vi": [text]}
        assert client.get("/v1/results", params={"industry": text}).json()["items"] == []
        found = client.get("/v1/jobs", params={"industry": text}).json()["items"]
        assert [one["job_id"] for one in found] == [job.job_id]


# -- idempotency --------------------------------------------------------------------------------------


def test_twenty_at_once_with_one_key_are_one_job(client: TestClient, database: Database) -> None:
    def post(_: int) -> str:
        answer = client.post("/v1/jobs", json=_GOOD, headers={"Idempotency-Key": "execution-7"})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(post, range(20)))) == 1
    assert _counts(database) == (1, 1)


def test_a_key_stands_for_one_request_of_one_caller(
    client: TestClient, database: Database, tokens: dict[str, str]
) -> None:
    headers = {"Idempotency-Key": "k"}
    first = client.post("/v1/jobs", json=_GOOD, headers=headers).json()["job_id"]
    same = client.post("/start-job", json={**_GOOD, "products": _URL}, headers=headers)
    assert same.json()["job_id"] == first, "written otherwise, meant the same"
    other = client.post("/v1/jobs", json={**_GOOD, "top": 3}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.reused")
    another = client.post("/v1/jobs", json=_GOOD, headers={**headers, "X-API-Key": tokens["run"]})
    assert another.json()["job_id"] != first
    assert _counts(database) == (2, 2)


# -- uploads ------------------------------------------------------------------------------------------


def test_a_catalogue_comes_with_the_request(client: TestClient, repos: Store, settings: Settings) -> None:
    files = {"catalogue": ("products.csv", _CATALOGUE, "text/csv")}
    answer = client.post(
        "/v1/jobs", data={"request": json.dumps({"industry": "gối", "videos": ["youtube"]})}, files=files
    )
    assert answer.status_code == 202, answer.text
    job = repos.jobs.get(answer.json()["job_id"])
    path = Path(job.request["products"][0])
    assert path.parent == settings.home / "uploads"
    assert path.read_bytes() == _CATALOGUE
    shown = client.get(f"/v1/jobs/{job.job_id}").json()["request"]["products"]
    assert shown == [f"upload:{path.name}"]


def test_an_upload_is_named_by_its_content(client: TestClient, settings: Settings) -> None:
    answers = [client.post("/v1/uploads?filename=a.csv", content=_CATALOGUE) for _ in range(2)]
    assert [a.status_code for a in answers] == [201, 201]
    found = answers[0].json()
    assert found == answers[1].json()
    assert (found["products"], found["bytes"]) == (2, len(_CATALOGUE))
    assert [p.name for p in (settings.home / "uploads").iterdir()] == [
        found["source"].removeprefix("upload:")
    ]
    asked = {**_GOOD, "products": [found["source"]]}
    assert client.post("/v1/jobs", json=asked).status_code == 202


_NO_CATALOGUES = [
    ("a.exe", b"x", 422),
    ("a", b"x", 422),
    ("a.csv", b"", 422),
    ("a.csv", b"\x00\x01\x02" * 100, 422),
    ("a.csv", b"nothing,here\n1,2\n", 422),
    ("a.jsonl", b"{not json", 422),
    ("../../a.csv", b"nothing\n", 422),
    ("a.csv", b"x" * 3_000_000, 413),
    ("a.xml", b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><rss>&b;</rss>', 422),
]


def test_an_upload_that_is_no_catalogue_is_not_kept(
    settings: Settings, database: Database, media: MediaStore, tokens: dict[str, str]
) -> None:
    small = settings.model_copy(update={"api_upload_mb": 1})
    with TestClient(create_app(small, database, media), headers={"X-API-Key": tokens["run"]}) as client:
        for name, content, status in _NO_CATALOGUES:
            answer = client.post("/v1/uploads", params={"filename": name}, content=content)
            assert answer.status_code == status, (name, answer.text)
            assert str(settings.home) not in answer.text
    folder = settings.home / "uploads"
    assert not folder.exists() or list(folder.iterdir()) == []


# -- the life of a job --------------------------------------------------------------------------------


def test_cancel_retry_archive_delete(client: TestClient, database: Database, repos: Store) -> None:
    job = client.post("/v1/jobs", json=_GOOD).json()["job_id"]
    one = f"/v1/jobs/{job}"
    for action in ("retry", "archive"):
        assert client.post(f"{one}/{action}").json()["code"] == "job.open"
    assert client.delete(one).status_code == 409
    assert client.post(f"{one}/cancel").json()["status"] == "cancelled"
    assert client.post(f"{one}/cancel").status_code == 409
    assert [e.name for e in Outbox(repos.database).events(job)] == ["job.cancelled"]
    assert client.post(f"{one}/retry").json()["status"] == "queued"
    assert client.post(f"{one}/cancel").json()["status"] == "cancelled"
    assert client.post(f"{one}/archive").json()["archived_at"] is not None
    assert client.get("/v1/jobs").json()["items"] == []
    assert [j["job_id"] for j in client.get("/v1/jobs?archived=true").json()["items"]] == [job]
    assert client.delete(one).status_code == 204
    assert client.get(one).status_code == 404
    assert client.delete(one).status_code == 404
    topics = [row.topic for row in Inbox(database).rows() if row.status == "received"]
    assert topics.count("job.forget") == 2


def test_a_finished_job_tells_all(client: TestClient, done: World) -> None:
    job = client.get("/v1/jobs/job-1").json()
    assert (job["status"], job["phase"], job["percent"]) == ("completed", "completed", 100)
    assert job["counts"]["accepted"] == 1
    assert client.get("/status/job-1").json() == job
    names = [event["name"] for event in client.get("/v1/jobs/job-1/events").json()["items"]]
    assert names[0] == "products.collections.completed"
    assert names[-1] == "job.completed"
    assert client.get("/v1/jobs/job-1/problems").json()["items"][0]["code"] == "picture.truncated"


def test_a_failed_job_says_why_and_how_far_it_was(client: TestClient, repos: Store, done: World) -> None:
    repos.jobs.set_running("job-1", "run-2")
    repos.jobs.fail("job-1", {"code": "run.died", "reason": "its worker is gone", "retryable": True})
    job = client.get("/v1/jobs/job-1").json()
    assert (job["status"], job["phase"], job["percent"]) == ("failed", "failed", 99)
    assert job["error"]["code"] == "run.died"
