"""Who may see and say what: sessions, forms of others, what a session may do over the API, odd addresses."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pvm_api.app import create_app
from pvm_api.review.access import COOKIE
from pvm_jobs.source_policy import parse_policies
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings, load_settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.attention import FaceSet, VideoAttention
from pvm_resources.store.labels import Labels
from pvm_resources.store.matching import evidence_key
from tests.pvm_api.drawn import jpeg
from tests.pvm_resources import world
from tests.pvm_resources.world import World

_KEYS = ("read", "run", "review", "admin")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a home of its own."""
    return load_settings(tmp_path / "none.env", home=tmp_path / "home", api_rate=100_000)


@pytest.fixture
def media(settings: Settings) -> MediaStore:
    """The home's media store."""
    return MediaStore(settings.media)


@pytest.fixture
def done(repos: Store, media: MediaStore) -> World:
    """A finished job with pictures."""
    made = world.make(repos, job_id="job-1")
    world.write(repos, made)
    for n, image in enumerate(made.images):
        media.put(image.local_path, jpeg(n))
    for n, frame in enumerate(made.frames):
        media.put(str(frame.local_path), jpeg(100 + n))
    media.put(f"evidence/{world.matches(made)[0].match_id}.jpg", jpeg(999, 1500, 1046))
    return made


@pytest.fixture
def app(settings: Settings, database: Database, media: MediaStore) -> FastAPI:
    """The application with keys on."""
    return create_app(settings, database, media)


@pytest.fixture
def visitor(app: FastAPI) -> Iterator[TestClient]:
    """A browser that nobody signed in with."""
    with TestClient(app, follow_redirects=False, raise_server_exceptions=False) as found:
        yield found


@pytest.fixture
def tokens(database: Database) -> dict[str, str]:
    """A key for each scope."""
    from pvm_resources.store.api_keys import Keys

    return {scope: Keys(database).create(scope, [scope])[1] for scope in _KEYS}


@pytest.fixture
def reviewer(visitor: TestClient, tokens: dict[str, str]) -> TestClient:
    """A browser that a reviewer signed in with."""
    assert _sign_in(visitor, tokens["review"]).status_code == 303
    return visitor


def _token(client: TestClient, path: str) -> str:
    found = re.search(r'name="csrf_token" value="([\w-]+)"', client.get(path).text)
    assert found is not None
    return found[1]


def _sign_in(client: TestClient, key: str, back: str = "/review") -> object:
    token = _token(client, "/review/session/in")
    return client.post("/review/session/in", data={"key": key, "csrf_token": token, "back": back})


def _first(done: World) -> uuid.UUID:
    return world.matches(done)[0].match_id


def test_every_page_asks_who_is_there(visitor: TestClient, done: World) -> None:
    match = _first(done)
    for path in ("/review", "/review/job-1", f"/review/match/{match}", "/review/no-such", "/review/x?q=1"):
        answer = visitor.get(path)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/review/session/in?back=%2Freview")
    assert visitor.get(f"/review/thumb/{match}").status_code == 401
    assert visitor.post(f"/review/match/{match}/verdict", data={"verdict": "accept"}).status_code == 401


def test_only_a_reviewer_signs_in(visitor: TestClient, tokens: dict[str, str], done: World) -> None:
    for scope in ("read", "run"):
        assert _sign_in(visitor, tokens[scope]).status_code == 403  # type: ignore[attr-defined]
        assert visitor.get("/review").status_code == 303
    for scope in ("review", "admin"):
        visitor.cookies.clear()
        assert _sign_in(visitor, tokens[scope]).status_code == 303  # type: ignore[attr-defined]
        assert visitor.get("/review").status_code == 200


def test_guessing_keys_is_slowed_down(visitor: TestClient, tokens: dict[str, str]) -> None:
    token = _token(visitor, "/review/session/in")
    answers = [
        visitor.post("/review/session/in", data={"key": f"wrong{n}", "csrf_token": token}).status_code
        for n in range(25)
    ]
    assert (answers[0], answers[-1]) == (403, 429)
    assert _sign_in(visitor, tokens["review"]).status_code == 303, "a right key is let in"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example", "/v1/jobs", "/reviewer",
             "/review\\@evil", "/review/\r\nX: 1", ""],
)  # fmt: skip
def test_one_is_sent_back_to_pages_of_ours_only(
    visitor: TestClient, tokens: dict[str, str], back: str
) -> None:
    answer = _sign_in(visitor, tokens["review"], back)
    assert answer.headers["location"] == "/review"  # type: ignore[attr-defined]


def test_a_session_that_is_none_of_ours(reviewer: TestClient) -> None:
    good = str(reviewer.cookies[COOKIE]).strip('"')
    body, _, signature = good.rpartition(".")
    payload, time = body.split(".")
    other = json.loads(base64.urlsafe_b64decode(payload + "==")) | {"key_id": "another"}
    forged = f"{base64.urlsafe_b64encode(json.dumps(other).encode()).decode().rstrip('=')}.{time}"
    for cookie in (
        f"{forged}.{signature}",
        f"{payload}.zzzzzz.{signature}",
        f"{body}.{'0' * 43}",
        f"{body}.",
        "x",
        "",
        f"{body}.ключ",
    ):
        reviewer.cookies.clear()
        answer = reviewer.get("/review", headers={"Cookie": f"{COOKIE}={cookie}".encode()})
        assert answer.status_code == 303, cookie
    assert reviewer.get("/review", headers={"Cookie": f"{COOKIE}={good}"}).status_code == 200


def test_forms_of_others_are_refused(reviewer: TestClient, done: World, database: Database) -> None:
    path = f"/review/match/{_first(done)}"
    token = _token(reviewer, path)
    given = {"verdict": "accept", "csrf_token": token}
    for data, headers in (
        ({"verdict": "accept"}, {}),
        ({"verdict": "accept", "csrf_token": "0" * 64}, {}),
        ({"verdict": "accept", "csrf_token": "é"}, {}),
        (given, {"Sec-Fetch-Site": "cross-site"}),
        (given, {"Sec-Fetch-Site": "same-site"}),
    ):
        refused = reviewer.post(f"{path}/verdict", data=data, headers=headers)
        assert refused.status_code == 403, (data, headers)
    assert Labels(database, parse_policies("")).list(9) == []
    assert reviewer.post(f"{path}/verdict", data=given).status_code == 303
    assert Labels(database, parse_policies("")).list(9)[0].who == "review"


def test_a_session_looks_over_the_api_and_does_nothing_else(
    reviewer: TestClient, done: World, database: Database
) -> None:
    match = _first(done)
    assert reviewer.get(f"/v1/matches/{match}/evidence").status_code == 200
    assert reviewer.get("/v1/results?job=job-1").status_code == 200
    assert reviewer.post(f"/v1/matches/{match}/label", json={"verdict": "accept"}).status_code == 401
    assert reviewer.post("/v1/jobs", json={"industry": "x"}).status_code == 401
    assert reviewer.delete("/v1/jobs/job-1").status_code == 401
    assert Labels(database, parse_policies("")).list(9) == []


def test_signing_out(reviewer: TestClient) -> None:
    token = _token(reviewer, "/review")
    assert reviewer.post("/review/session/out", data={"csrf_token": "0"}).status_code == 403
    assert reviewer.post("/review/session/out", data={"csrf_token": token}).status_code == 303
    assert reviewer.get("/review").status_code == 303


def test_a_cookie_dies_at_sign_out_and_no_other_does(
    reviewer: TestClient,
    tokens: dict[str, str],
    database: Database,
    media: MediaStore,
    settings: Settings,
    done: World,
) -> None:
    stolen = {"Cookie": f"{COOKIE}={reviewer.cookies[COOKIE]}"}
    with TestClient(reviewer.app, follow_redirects=False) as phone:
        assert _sign_in(phone, tokens["review"]).status_code == 303  # type: ignore[attr-defined]
        other = {"Cookie": f"{COOKIE}={phone.cookies[COOKIE]}"}
    picture = f"/v1/matches/{_first(done)}/evidence"
    token = _token(reviewer, "/review")
    assert reviewer.post("/review/session/out", data={"csrf_token": token}).status_code == 303
    # A copy of the cookie is of no use, in this process or in one started later.
    with TestClient(create_app(settings, database, media), follow_redirects=False) as later:
        for client in (TestClient(reviewer.app, follow_redirects=False), later):
            assert client.get("/review", headers=stolen).status_code == 303
            assert client.get(picture, headers=stolen).status_code == 401
            assert client.get("/review", headers=other).status_code == 200, "another browser of the key"
            assert client.get(picture, headers=other).status_code == 200
    database.value("SELECT 1")
    rows = database.tuples("SELECT hash FROM review_sessions")
    assert len(rows) == 1
    assert phone.cookies[COOKIE] not in str(rows), "what the table holds signs nobody in"


def test_a_session_ends_with_its_time_and_its_key(
    reviewer: TestClient, database: Database, media: MediaStore, settings: Settings
) -> None:
    cookie = {"Cookie": f"{COOKIE}={reviewer.cookies[COOKIE]}"}

    def status() -> int:
        # A new process remembers nothing.
        app = create_app(settings, database, media)
        return TestClient(app, follow_redirects=False).get("/review", headers=cookie).status_code

    assert status() == 200
    with database.transaction() as cursor:
        cursor.execute("UPDATE review_sessions SET ends_at = now()")
    assert status() == 303
    with database.transaction() as cursor:
        cursor.execute("UPDATE review_sessions SET ends_at = now() + interval '1 hour'")
    assert status() == 200
    with database.transaction() as cursor:
        cursor.execute("UPDATE api_keys SET revoked_at = now()")
    assert status() == 303


def test_a_match_shows_the_attention_of_its_video_and_gaps_as_gaps(
    reviewer: TestClient, done: World, repos: Store
) -> None:
    path = f"/review/match/{_first(done)}"
    assert "<polyline" not in reviewer.get(path).text
    video = done.videos[0].video_id
    seconds = [
        [0, 0.9, 1, 1, 1, 1],
        [1, None, 0.1, None, None, None],
        [2, 0.5, 1, 1, 1, 1],
        [3, 0.5, 1, 1, 1, 1],
    ]
    repos.attention.begin("job-1", "a1", "blazeface", "f1")
    repos.attention.write_set(FaceSet(video, "f1", "blazeface", 25.0, 100, 90, 1.5), [])
    repos.attention.write_attention(
        VideoAttention(video, "f1", "a1", 0.63, 0.75, 0.5, 0, [{"track": 0, "seconds": seconds}])
    )
    shown = reviewer.get(path).text
    assert re.findall(r'<polyline points="([^"]*)"', shown) == [
        "0,10.0 1,10.0",
        "2,50.0 3,50.0 3,50.0 4,50.0",
    ]
    assert "known for 75 % of the time" in shown
    vietnamese = reviewer.get(path, headers={"Accept-Language": "vi"}).text
    assert "Mức tập trung của người dẫn" in vietnamese


def test_headers_of_pages(reviewer: TestClient, done: World) -> None:
    answer = reviewer.get(f"/review/match/{_first(done)}")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son[a-z]+=", answer.text)


def test_refusals_are_pages(reviewer: TestClient, done: World) -> None:
    for path, status in (
        ("/review/no-such", 404), (f"/review/match/{uuid.uuid4()}", 404), ("/review/match/x", 404),
        ("/review/job-1?min=2", 422), ("/review/job-1?status=good", 422), ("/review/job-1?cursor=x", 422),
        ("/review/job-1?product=x", 422), ("/review/static/x/../app.py", 404),
        ("/review/static/x/none.js", 404),
    ):  # fmt: skip
        answer = reviewer.get(path)
        assert answer.status_code == status, path
        if not path.startswith("/review/static/x/.."):
            assert answer.headers["content-type"].startswith("text/html"), path
    assert "&lt;b&gt;" in reviewer.get("/review/%3Cb%3E").text


def test_text_of_sources_is_text(reviewer: TestClient, done: World, database: Database) -> None:
    with database.transaction() as cursor:
        cursor.execute(
            "UPDATE products SET title = %s, brand = %s, url = 'javascript:alert(1)'",
            ["<script>alert(1)</script>\"'>", "<img src=x onerror=alert(1)>"],
        )
        cursor.execute("UPDATE videos SET title = '</title><b>', url = 'data:text/html,x'")
    for path in ("/review/job-1", f"/review/match/{_first(done)}", "/review/job-1?q=%3Cscript%3E"):
        text = reviewer.get(path).text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "javascript:" not in text
        assert "data:text" not in text


def test_thumbnails_are_made_once_and_not_kept_where_terms_forbid(
    reviewer: TestClient, done: World, database: Database, media: MediaStore
) -> None:
    match = _first(done)
    path = f"/review/thumb/{match}"
    first = reviewer.get(path)
    assert (first.status_code, first.headers["content-type"]) == (200, "image/jpeg")
    assert "max-age" in first.headers["cache-control"]
    assert reviewer.get(path, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    media.put(f"evidence/{match}.jpg", jpeg(5, 1500, 1046))
    again = reviewer.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 200
    assert again.content != first.content
    with database.transaction() as cursor:
        cursor.execute("UPDATE products SET src = 'ebay'")
    assert reviewer.get(path).headers["cache-control"] == "no-store"
    assert reviewer.get(path, headers={"If-None-Match": again.headers["etag"]}).status_code == 200
    with database.transaction() as cursor:
        cursor.execute("UPDATE products SET src = 'amazon'")
    assert reviewer.get(path).status_code == 404
    assert "<img loading" not in reviewer.get("/review/job-1").text
    with database.transaction() as cursor:
        cursor.execute("UPDATE products SET src = 'file'")
    media.delete(f"evidence/{match}.jpg")
    assert reviewer.get(path).status_code == 404


def test_no_thumbnail_shows_a_face_that_is_to_be_blurred(
    reviewer: TestClient, done: World, repos: Store, media: MediaStore
) -> None:
    first, second = (one.match_id for one in world.matches(done)[:2])
    assert [reviewer.get(f"/review/thumb/{one}").status_code for one in (first, second)] == [200, 200]
    repos.industries.set_rules(done.job.industry, "default", {"blur_faces": True})
    assert [reviewer.get(f"/review/thumb/{one}").status_code for one in (first, second)] == [409, 404]
    page = reviewer.get("/review/job-1").text
    assert f"/review/thumb/{first}" in page
    assert f"/review/thumb/{second}" not in page
    key = evidence_key("job-1", first, blurred=True)
    media.put(key, jpeg(7, 1500, 1046))
    repos.matching.set_evidence("job-1", {first: key})
    assert reviewer.get(f"/review/thumb/{first}").status_code == 200


def test_a_match_without_evidence_is_shown_by_its_two_pictures(reviewer: TestClient, done: World) -> None:
    second = world.matches(done)[1].match_id
    assert reviewer.get(f"/review/thumb/{second}").headers["content-type"] == "image/jpeg"


def test_a_page_of_an_earlier_job_goes_on_with_that_job(
    reviewer: TestClient, repos: Store, done: World
) -> None:
    found = re.search(
        r'id="more" rel="next" href="([^"]+)"', reviewer.get("/review/goi-cong-thai-hoc?limit=2").text
    )
    assert found is not None
    later = world.make(repos, job_id="job-2")
    world.write(repos, later)
    text = reviewer.get(found[1].replace("&amp;", "&")).text
    assert str(world.matches(done)[2].match_id) in text
    assert str(world.matches(later)[0].match_id) in reviewer.get("/review/goi-cong-thai-hoc").text


def test_an_empty_platform(reviewer: TestClient, repos: Store) -> None:
    assert "pvm run" in reviewer.get("/review").text
    repos.industries.ensure("giày")
    assert "No job has completed" in reviewer.get("/review").text
    answer = reviewer.get("/review/giay")
    assert answer.status_code in (404, 422)
