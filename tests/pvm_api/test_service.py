"""The service itself: health, figures, problems for whatever goes wrong, headers of every answer."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pvm_api.app import create_app
from pvm_api.limits import RateLimiter
from pvm_api.problems import ApiError
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.inbox import Inbox
from tests.pvm_resources.world import World


def test_ready_says_which_part_is_missing(settings: Settings, media: MediaStore, client: TestClient) -> None:
    assert client.get("/readyz").json()["status"] == "ok"
    gone = create_app(settings, Database("postgresql://127.0.0.1:1/none"), media)
    with TestClient(gone) as other:
        assert other.get("/healthz").status_code == 200
        answer = other.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "store.unreachable")
        refused = other.get("/v1/jobs", headers={"X-API-Key": "pvm_" + "a" * 8 + "_" + "b" * 37})
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert refused.json()["retryable"]
    assert "127.0.0.1:1" not in refused.text, "where the database is, is nobody's business"


def test_ready_looks_once_a_second(
    client: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    ping = Database.ping
    monkeypatch.setattr(Database, "ping", lambda self: (looked.append(1), ping(self)))
    start = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        answers = set(pool.map(lambda _: client.get("/readyz").status_code, range(200)))
    assert answers == {200}
    assert len(looked) <= 1 + time.monotonic() - start


def test_the_figures_tell_what_the_database_holds(
    client: TestClient, repos: Store, database: Database, done: World
) -> None:
    Inbox(database).submit(done.industry.slug, {}, "test")
    repos.stream_progress.add("redis", handled=9, refused=2, failed=1, batches=3, seconds=0.5)
    repos.stream_progress.measured("redis", 7, None, 2)
    repos.stream_progress.seen("worker-1", "redis")
    text = client.get("/metrics").text
    for line in (
        'phase_state{phase="completed"} 1.0',
        'phase_state{phase="collection"} 1.0',
        'events_total{event_name="products.image.ready"} 6.0',
        'queue_depth{queue="inbox",state="received"} 1.0',
        'queue_depth{queue="deliveries",state="waiting"} 0.0',
        'stage_latency_seconds_count{stage="evidence"} 1.0',
        "start_latency_seconds_count 0.0",
        'product_stream_entries{state="lag",stream="redis"} 7.0',
        'product_stream_changes_total{outcome="refused",stream="redis"} 2.0',
        'product_stream_batch_seconds_sum{stream="redis"} 0.5',
        'product_stream_consumers{state="working",stream="redis"} 1.0',
    ):
        assert line in text, line
    repos.inbox.delete("job-1", "test", force=True)
    assert 'phase_state{phase="completed"} 0.0' in client.get("/metrics").text


def test_counted_events_stay_counted(client: TestClient, database: Database, done: World) -> None:
    with database.transaction() as cursor:
        cursor.execute("UPDATE outbox SET created_at = now() - interval '2 hours'")
    before = client.get("/metrics").text
    with database.transaction() as cursor:
        cursor.execute("DELETE FROM outbox WHERE name = 'products.image.ready'")
    line = 'events_total{event_name="products.image.ready"} 6.0'
    assert line in before
    assert line in client.get("/metrics").text, "a counter does not go back"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "http.not_found"),
        ("GET", "/v1/jobs/", 404, "http.not_found"),
        ("PUT", "/v1/jobs", 405, "http.method_not_allowed"),
        ("GET", "/v1/jobs?limit=0", 422, "request.invalid"),
        ("GET", "/v1/jobs?limit=201", 422, "request.invalid"),
        ("GET", "/v1/jobs?status=ended", 422, "request.invalid"),
        ("GET", "/v1/jobs?industry=none", 404, "industry.unknown"),
        ("GET", "/v1/jobs?industry=%00", 404, "industry.unknown"),
        ("GET", "/v1/jobs/%F0%9F%92%A5", 422, "request.invalid"),
    ],
)
def test_every_refusal_is_a_problem(
    shared_client: TestClient, method: str, path: str, status: int, code: str
) -> None:
    answer = shared_client.request(method, path)
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["type"] == f"urn:pvm:problem:{code}"
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["request_id"] == answer.headers["x-request-id"]
    if status == 405:
        assert answer.headers["allow"]


def test_a_fault_of_ours_tells_nothing_but_its_id(app: FastAPI, client: TestClient) -> None:
    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("password=hunter2")

    answer = client.get("/broken", headers={"X-Request-ID": "order-7"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "hunter2" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "order-7"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_every_answer_is_sealed(shared_client: TestClient) -> None:
    for path in ("/healthz", "/v1/jobs", "/nothing"):
        headers = shared_client.get(path, headers={"Origin": "https://evil.example"}).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
    echoed = shared_client.get("/healthz", headers={"X-Request-ID": "a\tb"}).headers["x-request-id"]
    assert echoed != "a\tb"


def test_browsers_of_named_origins_may_call(
    settings: Settings, database: Database, media: MediaStore
) -> None:
    opened = settings.model_copy(update={"api_cors": "https://shop.example.org"})
    with TestClient(create_app(opened, database, media)) as client:
        mine = client.get("/healthz", headers={"Origin": "https://shop.example.org"})
        other = client.get("/healthz", headers={"Origin": "https://evil.example"})
    assert mine.headers["access-control-allow-origin"] == "https://shop.example.org"
    assert "access-control-allow-origin" not in other.headers


def _exhaust(limiter: RateLimiter, caller: str) -> None:
    for _ in range(3):
        limiter.take(caller)


def test_a_limiter_refills_with_time_and_forgets_the_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [60_000_030.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    limiter = RateLimiter(60)
    for left in range(60):
        assert limiter.take("a").remaining == 59 - left
    with pytest.raises(ApiError) as caught:
        limiter.take("a")
    wait = int(caught.value.headers["Retry-After"])
    assert 1 <= wait <= 60
    limiter.take("b")
    now[0] += wait + 1
    limiter.take("a")
    with pytest.raises(ApiError) as caught:
        _exhaust(limiter, "a")
    assert caught.value.headers["Retry-After"] == "1", "from then on one more each second"
    now[0] += 300
    limiter.take("c")
    deadline = time.monotonic() + 10
    while len(limiter._storage.storage) > 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(limiter._storage.storage) == 1


def test_a_limiter_holds_a_bounded_number_of_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvm_api.limits._COUNTERS_MAX", 100)
    limiter = RateLimiter(60)
    for n in range(1_000):
        limiter.take(f"caller {n}")
        assert len(limiter._storage.storage) <= 101
