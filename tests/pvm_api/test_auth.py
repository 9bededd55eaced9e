"""Who may call what: every route with every scope, without a key, with a wrong one; limits of one caller."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from pvm_api.app import OPEN, create_app
from pvm_api.auth import Principal, address_of
from pvm_core.errors import InputError
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings, load_settings
from pvm_resources.store.api_keys import Keys

_ALL = {"read", "run", "review", "admin"}
_RUN = {"run", "admin"}
#: (method, path) -> scopes that are let in; everything else is read.
_MORE = {
    ("POST", "/v1/jobs"): _RUN,
    ("POST", "/start-job"): _RUN,
    ("POST", "/orchestrator/start-job"): _RUN,
    ("POST", "/v1/uploads"): _RUN,
    ("POST", "/v1/jobs/{job_id}/cancel"): _RUN,
    ("POST", "/v1/jobs/{job_id}/retry"): _RUN,
    ("POST", "/v1/jobs/{job_id}/archive"): _RUN,
    ("DELETE", "/v1/jobs/{job_id}"): _RUN,
    **dict.fromkeys(
        [
            (method, f"{prefix}{path}")
            for prefix in ("", "/v1")
            for method, path in (
                ("POST", "/products"),
                ("POST", "/products/events"),
                ("PATCH", "/products/{product_id}"),
                ("DELETE", "/products/{product_id}"),
            )
        ],
        _RUN,
    ),
    ("POST", "/v1/matches/{match_id}/label"): {"review", "admin"},
    ("POST", "/v1/industries"): {"admin"},
    ("PATCH", "/v1/industries/{industry}"): {"admin"},
    ("DELETE", "/v1/industries/{industry}"): {"admin"},
    ("PUT", "/v1/industries/{industry}/rules"): {"admin"},
    ("PATCH", "/v1/industries/{industry}/rules"): {"admin"},
}


@pytest.fixture
def bare(app: FastAPI) -> Iterator[TestClient]:
    """A caller without a key."""
    with TestClient(app, raise_server_exceptions=False) as found:
        yield found


def _routes(app: FastAPI) -> list[tuple[str, str]]:
    paths = app.openapi()["paths"]
    return [(method.upper(), path) for path, operations in paths.items() for method in operations]


def _filled(path: str) -> str:
    for name in ("match_id", "product_id", "video_id", "image_id", "frame_id"):
        path = path.replace(f"{{{name}}}", str(uuid.UUID(int=7)))
    return path.replace("{job_id}", "no-such-job").replace("{industry}", "no-such-industry")


def test_every_route_with_every_scope(app: FastAPI, bare: TestClient, tokens: dict[str, str]) -> None:
    for method, path in _routes(app):
        allowed = _MORE.get((method, path), _ALL)
        for scope, token in tokens.items():
            answer = bare.request(method, _filled(path), headers={"Authorization": f"Bearer {token}"})
            refused = answer.status_code == 403 and answer.json()["code"] == "auth.scope"
            expected = path not in OPEN and scope not in allowed
            assert refused is expected, (method, path, scope, answer.status_code)


def test_every_route_without_a_key_or_with_a_wrong_one(app: FastAPI, bare: TestClient) -> None:
    for method, path in _routes(app):
        for headers in ({}, {"X-API-Key": "pvm_" + "a" * 8 + "_" + "b" * 37}):
            answer = bare.request(method, _filled(path), headers=headers)
            if path in OPEN:
                assert answer.status_code == 200, path
            elif answer.status_code != 429:
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("token", ["", "pvm_", "x" * 10_000, "pvm_aaaaaaaa_' OR 1=1 --", "ключ"])
def test_a_malformed_key_is_no_key(bare: TestClient, token: str) -> None:
    answer = bare.get("/v1/jobs", headers={"X-API-Key": token.encode()})
    assert answer.status_code == 401


def test_guessing_keys_is_slowed_down(bare: TestClient, tokens: dict[str, str]) -> None:
    answers = [bare.get("/v1/jobs", headers={"X-API-Key": f"wrong{n}"}).status_code for n in range(70)]
    assert answers[0] == 401
    assert answers[-1] == 429
    for token in tokens.values():
        right = bare.get("/v1/jobs", headers={"X-API-Key": token})
        assert right.status_code == 200, "a right key from the same address is let in"
    assert bare.get("/v1/jobs").status_code == 401, "to send none is no guess"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("198.51.100.7", "198.51.100.8", False),
        ("2001:db8:1:2::7", "2001:db8:1:2:ffff::8", True),
        ("2001:db8:1:2::7", "2001:db8:1:3::7", False),
        ("::ffff:198.51.100.7", "::ffff:198.51.100.8", False),
    ],
)
def test_failures_are_counted_for_who_they_come_from(one: str, other: str, same: bool) -> None:
    def address(host: str) -> str:
        return address_of(Request({"type": "http", "client": (host, 1)}))

    assert (address(one) == address(other)) is same


def test_a_key_is_kept_as_its_hash_and_ends_when_revoked(database: Database) -> None:
    keys = Keys(database)
    key, token = keys.create("n8n", ["run"])
    row = database.tuples("SELECT * FROM api_keys WHERE key_id = %s", [key.key_id])[0]
    assert token.rpartition("_")[2] not in str(row)
    assert keys.find(token) is not None
    assert keys.list()[0].last_used_at is not None
    assert keys.revoke(key.key_id)
    assert not keys.revoke(key.key_id)
    assert keys.find(token) is None


@pytest.mark.parametrize(
    ("name", "scopes"), [("", ["read"]), ("x" * 101, ["read"]), ("x", []), ("x", ["god"])]
)
def test_a_key_that_makes_no_sense_is_refused(database: Database, name: str, scopes: list[str]) -> None:
    with pytest.raises(InputError):
        Keys(database).create(name, scopes)


def test_without_keys_only_this_machine_is_served(
    database: Database, media: MediaStore, settings: Settings
) -> None:
    off = settings.model_copy(update={"api_auth": False})
    with TestClient(create_app(off, database, media), base_url="http://127.0.0.1:8080") as client:
        assert client.get("/v1/jobs").status_code == 200
        assert client.post("/v1/industries", json={"name": "giày"}).status_code == 201
        for name in ("evil.example", "127.0.0.1.evil.example:8080"):
            refused = client.get("/v1/jobs", headers={"Host": name})
            assert (refused.status_code, refused.json()["code"]) == (403, "auth.host")
    for host in ("0.0.0.0", "192.168.1.5", ""):
        with pytest.raises(InputError, match="PVM_API_AUTH"):
            create_app(off.model_copy(update={"api_host": host}), database, media)


def test_a_caller_beyond_its_limit_waits(
    tmp_path: object, database: Database, media: MediaStore, settings: Settings, tokens: dict[str, str]
) -> None:
    few = settings.model_copy(update={"api_rate": 5})
    with TestClient(create_app(few, database, media), headers={"X-API-Key": tokens["read"]}) as client:
        answers = [client.get("/v1/jobs") for _ in range(7)]
        other = client.get("/v1/jobs", headers={"X-API-Key": tokens["admin"]})
    assert [a.status_code for a in answers[:5]] == [200] * 5
    assert [int(a.headers["ratelimit-remaining"]) for a in answers[:3]] == [4, 3, 2]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert other.status_code == 200


def test_another_way_to_know_a_caller_can_be_added(
    database: Database, media: MediaStore, settings: Settings
) -> None:
    def by_cookie(request: object) -> Principal | None:
        given = request.cookies.get("session")  # type: ignore[attr-defined]
        return Principal("Lan", "session:1", frozenset({"read", "review"})) if given == "good" else None

    made = create_app(settings, database, media, authenticators=[by_cookie])
    with TestClient(made, cookies={"session": "good"}) as client:
        assert client.get("/v1/jobs").status_code == 200
        assert client.post("/start-job", json={"industry": "x"}).status_code == 403
    with TestClient(made, cookies={"session": "bad"}) as client:
        assert client.get("/v1/jobs").status_code == 401


def test_settings_name_the_variable_that_is_wrong() -> None:
    with pytest.raises(InputError, match="PVM_API_RATE"):
        load_settings(api_rate=0)
