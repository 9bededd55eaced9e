"""Pages of other sites: what their browsers say of a request, and what is refused while keys are off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from pvm_api.app import create_app
from pvm_api.origin import host_of, is_foreign
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store

_HERE = "127.0.0.1:8080"
_SHOP = "https://shop.example.org"


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("LocalHost:8080", "localhost"),
        ("[::1]:8080", "::1"),
        ("evil.example:80", "evil.example"),
        ("127.0.0.1:8080@evil.example", None),
        ("127.0.0.1, evil.example", None),
        ("http://127.0.0.1", None),
        ("[::1", None),
        ("", None),
    ],
)
def test_the_host_that_is_asked(header: str, host: str | None) -> None:
    assert host_of(header) == host


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"origin": f"http://{_HERE}"}, False),
        ({"origin": f"https://{_HERE}"}, False),
        ({"origin": _SHOP}, False),
        ({"origin": _SHOP, "sec-fetch-site": "cross-site"}, False),
        ({"origin": "null", "sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "null"}, True),
        ({"origin": "https://evil.example"}, True),
        ({"origin": f"https://evil.example/{_HERE}"}, True),
        ({"origin": "http://127.0.0.1:3000"}, True),
        ({"origin": "http://127.0.0.1"}, True),
        ({"origin": f"file://{_HERE}"}, True),
        ({"origin": "http://["}, True),
        ({"origin": ""}, True),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"origin": f"http://{_HERE}", "sec-fetch-site": "cross-site"}, True),
    ],
)
def test_a_foreign_page(headers: dict[str, str], foreign: bool) -> None:
    given = {"host": _HERE, **headers}
    for method in ("POST", "PUT", "PATCH", "DELETE", "PROPFIND"):
        assert is_foreign(method, given, [_SHOP]) is foreign, method
    for method in ("GET", "HEAD", "OPTIONS"):
        assert not is_foreign(method, given, [_SHOP])


def test_a_default_port_may_be_left_out() -> None:
    assert not is_foreign("POST", {"host": "127.0.0.1:80", "origin": "http://127.0.0.1"})
    assert not is_foreign("POST", {"host": "127.0.0.1", "origin": "http://127.0.0.1:80"})
    assert is_foreign("POST", {"host": "127.0.0.1:80", "origin": "https://127.0.0.1"})


@pytest.fixture
def open_client(settings: Settings, database: Database, media: MediaStore) -> Iterator[TestClient]:
    """A caller on this machine, keys off; one further origin may."""
    off = settings.model_copy(update={"api_auth": False, "api_cors": _SHOP})
    with TestClient(create_app(off, database, media), base_url=f"http://{_HERE}") as found:
        yield found


def test_without_keys_other_sites_start_cancel_and_archive_nothing(
    open_client: TestClient, repos: Store
) -> None:
    body = '{"industry": "x", "products": ["ebay"], "videos": ["youtube"]}'
    # What a page may send without asking first (a "simple request"), and what it may not.
    simple = {"content-type": "text/plain"}
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},
    ):
        for kind in (simple, {"content-type": "application/json"}):
            refused = open_client.post("/v1/jobs", content=body, headers={**kind, **headers})
            assert (refused.status_code, refused.json()["code"]) == (403, "auth.origin"), headers
    assert repos.jobs.list() == []
    made = open_client.post("/v1/jobs", content=body, headers={"content-type": "application/json"})
    job = made.json()["status_url"]
    for action in ("cancel", "archive", "retry"):
        refused = open_client.post(f"{job}/{action}", headers={"Origin": "https://evil.example"})
        assert (refused.status_code, refused.json()["code"]) == (403, "auth.origin")
        assert refused.headers["x-request-id"] == refused.json()["request_id"]
    assert repos.jobs.list()[0].status == "queued"
    for headers in ({"Origin": _SHOP}, {"Origin": f"http://{_HERE}", "Sec-Fetch-Site": "same-origin"}):
        assert open_client.post("/v1/industries", json={"name": "x"}, headers=headers).status_code == 201
    assert open_client.get("/v1/jobs", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/jobs", "/healthz", "/openapi.json", "/review", "/nothing"])
def test_without_keys_no_other_name_is_answered(open_client: TestClient, path: str) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example:8080", "127.0.0.1:8080@evil.example", ""):
        refused = open_client.get(path, headers={"Host": host})
        assert (refused.status_code, refused.json()["code"]) == (403, "auth.host"), host
    for host in ("localhost:8080", "LOCALHOST", "[::1]:8080"):
        answer = open_client.get(path, headers={"Host": host})
        assert answer.status_code in (200, 404), host
