"""What must not leave this machine: where its database is, folders, addresses of its network, passwords."""

from __future__ import annotations

import json
import logging

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient

from pvm_api.review.pages import PageRoute
from pvm_core.error_codes import REGISTRY
from pvm_core.errors import PvmError, StoreError, public_dict
from pvm_resources.http.address_policy import AddressPolicy, AllowList
from pvm_resources.postgres.driver import Database
from pvm_resources.store.assembly import Store
from tests.pvm_resources.world import World

_WHERE = "pvm_user@/tmp/pvm-6999069744ccde77:5432/pvm_database"
_SAID = 'FATAL: role "pvm_user" does not exist in /srv/secret/pg'
_REMEDY = "Correct postgresql://pvm_user:hunter2@10.1.2.3/pvm_database"
_MARKS = ("pvm_user", "/tmp/", "5432", "hunter2", "10.1.2.3", "/srv/", "pvm_database")
#: Each code of what concerns the machine, and one of each family that has no code of its own.
_MACHINE = sorted(
    code if "." in code else f"{code}.x" for code, t in REGISTRY.items() if t.scope == "machine"
)


def _told(text: str) -> list[str]:
    return [mark for mark in _MARKS if mark in text]


@pytest.mark.parametrize("code", [*_MACHINE, "internal"])
def test_no_error_of_the_machine_tells_where_it_is(app: FastAPI, client: TestClient, code: str) -> None:
    def broken() -> None:
        raise StoreError(code, _WHERE, _SAID, _REMEDY)

    pages = APIRouter(route_class=PageRoute)
    pages.get("/broken/page")(broken)
    app.include_router(pages)
    app.get("/broken")(broken)
    for path, headers in (
        ("/broken", {}),
        ("/broken/page", {}),
        ("/broken/page", {"X-Requested-With": "review"}),
    ):
        answer = client.get(path, headers=headers)
        assert answer.status_code >= 400
        assert _told(answer.text) == [], path
        assert code in answer.text, "the code tells a program all it needs"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs?industry=%00", "/v1/results?industry=%00", "/results?industry=a%00b",
        "/v1/labels?industry=%00", "/v1/labels/precision?industry=%00", "/v1/industries/%00",
        "/v1/industries/%00/rules", "/v1/industries/a%00b", "/review/%00", "/review/a%00b",
    ],
)  # fmt: skip
def test_a_zero_byte_names_no_database(
    shared_client: TestClient, shared_database: Database, path: str
) -> None:
    answer = shared_client.get(path, follow_redirects=False)
    assert answer.status_code in (303, 404, 422), answer.text
    _names_nothing(answer.text, shared_database)


def test_a_zero_byte_in_a_body_names_no_database(
    shared_client: TestClient, shared_database: Database
) -> None:
    for method, path, body in (
        ("POST", "/v1/industries", {"name": "a\x00b"}),
        ("POST", "/v1/jobs", {"industry": "a\x00b", "products": ["ebay"], "videos": ["youtube"]}),
        ("POST", "/v1/jobs", {"industry": "a\x00b", "queries": {"vi": ["\x00"]}}),
        ("PATCH", "/v1/industries/%00", {"every_hours": 5}),
        ("PUT", "/v1/industries/%00/rules", {}),
        ("DELETE", "/v1/industries/%00", None),
    ):
        answer = shared_client.request(method, path, json=body)
        assert answer.status_code in (404, 422), answer.text
        _names_nothing(answer.text, shared_database)


def _names_nothing(text: str, database: Database) -> None:
    inner = repr(database).removeprefix("Database(").removesuffix(")")
    user, _, place = inner.partition("@")
    assert user
    assert place
    for part in (f"{user}@", place, place.partition(":")[0]):
        assert part not in text, part


def test_a_job_that_failed_on_the_machine_tells_the_code(
    client: TestClient, database: Database, repos: Store, done: World
) -> None:
    repos.jobs.set_running("job-1", "run-2")
    repos.jobs.fail("job-1", StoreError("store.unreachable", _WHERE, _SAID, _REMEDY))
    job = client.get("/v1/jobs/job-1")
    assert job.json()["error"]["code"] == "store.unreachable"
    assert job.json()["error"]["retryable"]
    events = client.get("/v1/jobs/job-1/events?limit=200")
    assert events.json()["items"][-1]["payload"]["error"]["code"] == "store.unreachable"
    for text in (job.text, events.text, client.get("/v1/jobs").text, client.get("/review").text):
        assert _told(text) == []
    told = database.value("SELECT payload::text FROM outbox WHERE name = 'job.failed'")
    assert _told(told) == [], "nor does it go out by webhook"
    assert _told(json.dumps(repos.jobs.get("job-1").error)), "the operator reads it here"


def test_an_error_of_the_input_is_told_whole() -> None:
    error = PvmError("table.columns", "a.csv", "no column image", "Add it").to_dict()
    assert public_dict(error) == error
    assert public_dict({"code": "who.knows", "reason": "x"}) == {"code": "who.knows", "reason": "x"}


def test_a_callback_learns_no_address_of_this_network(
    client: TestClient, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    policy = AddressPolicy(AllowList((), "CALLBACK_ALLOWED_HOSTS"), lambda host, port: ["10.20.30.40"])
    app.state.services.callback_addresses = policy
    body = {"industry": "x", "products": ["ebay"], "videos": ["youtube"]}
    with caplog.at_level(logging.INFO, "pvm.http"):
        refused = client.post("/v1/jobs", json={**body, "callback_url": "http://intranet.example/x"})
    assert (refused.status_code, refused.json()["code"]) == (422, "fetch.address")
    assert "10.20.30.40" not in refused.text
    assert "private" not in refused.text, "nor what kind of address it is"
    assert "10.20.30.40" in caplog.text
    written = client.post("/v1/jobs", json={**body, "callback_url": "http://10.20.30.40/x"})
    assert "private" in written.json()["detail"], "an address that the caller wrote is explained"


def test_a_reader_sees_no_key_of_an_address(client: TestClient, tokens: dict[str, str], repos: Store) -> None:
    places = {
        "products": ["https://shop.example/feed.csv?token=hunter2#hunter2"],
        "videos": [
            "https://cdn.example/a.mp4?Signature=hunter2",
            "https://www.youtube.com/watch?v=abcdefghijk",
        ],
    }
    job = client.post("/v1/jobs", json={"industry": "giày", **places, "queries": ["x"]}).json()["job_id"]
    assert client.post("/v1/industries", json={"name": "giày", "sources": places}).status_code == 201
    assert repos.jobs.get(job).request["products"] == places["products"], "the download reads it whole"
    reader = {"X-API-Key": tokens["read"]}
    for path in (f"/v1/jobs/{job}", f"/status/{job}", "/v1/jobs", f"/v1/jobs/{job}/events", "/v1/industries",
                 "/v1/industries/giay"):  # fmt: skip
        answer = client.get(path, headers=reader)
        assert answer.status_code == 200
        assert "hunter2" not in answer.text, path
    shown = client.get(f"/v1/jobs/{job}", headers=reader).json()["request"]
    assert shown["products"][0].startswith("https://shop.example/feed.csv")
    assert "https://www.youtube.com/watch?v=abcdefghijk" in shown["videos"], "a public video's id is no key"
    refused = client.post(
        "/v1/jobs", json={"industry": "x", "products": ["https://u:hunter2@shop.example/a"]}
    )
    assert refused.status_code == 422
    assert "hunter2" not in refused.text
