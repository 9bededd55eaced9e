"""What a monitor is shown: jobs, queues, quality, connections, requests."""

from __future__ import annotations

from fastapi.testclient import TestClient

from pvm_api.app import create_app
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store
from pvm_resources.vectors.pgvector import PgVectorStore
from tests.pvm_api.scraped import scraped
from tests.pvm_resources.vectors.shop import stocked
from tests.pvm_resources.world import World


def test_failed_jobs_and_the_pace_of_assets(client: TestClient, database: Database, done: World) -> None:
    before = scraped(client)
    assert not [key for key in before if key[0] == "partitions_failed"]
    with database.transaction() as cursor:
        cursor.execute("UPDATE jobs SET finished_at = now()")
        cursor.execute(
            "UPDATE asset_states SET metadata = metadata || "
            """'{"items": 80, "computed": 60, "seconds": 4}' WHERE asset = 'evidence'"""
        )
    assert scraped(client)["asset_items_per_second", "evidence"] == 15
    with database.transaction() as cursor:
        cursor.execute(
            """UPDATE jobs SET status = 'failed', phase = 'failed', error = '{"code": "run.died"}'"""
        )
    assert scraped(client)["partitions_failed", "run.died"] == 1
    with database.transaction() as cursor:
        cursor.execute("UPDATE jobs SET archived_at = now()")
    assert ("partitions_failed", "run.died") not in scraped(client), "nobody has to act on it"


def test_what_waits_to_be_delivered_and_what_never_will(
    client: TestClient, repos: Store, database: Database, done: World
) -> None:
    assert scraped(client)["delivery_lag_seconds",] == 0
    with database.transaction() as cursor:
        cursor.execute("UPDATE outbox SET created_at = now() - interval '90 seconds'")
    waiting = scraped(client)
    assert 90 <= waiting["outbox_lag_seconds",] < 150
    assert waiting["queue_depth", "outbox", "waiting"] > 0
    with database.transaction() as cursor:
        cursor.execute("UPDATE outbox SET created_at = now()")
        cursor.execute(
            "INSERT INTO endpoints (endpoint_id, kind, name, url, events, since) VALUES "
            "(gen_random_uuid(), 'webhook', 'shop', 'https://shop.example', '{*}', now() - interval '1 day')"
        )
    repos.deliveries.fan_out()
    with database.transaction() as cursor:
        cursor.execute("UPDATE deliveries SET created_at = now() - interval '30 seconds'")
    sent = scraped(client)
    assert sent["outbox_lag_seconds",] == 0
    assert sent["queue_depth", "outbox", "waiting"] == 0
    assert 30 <= sent["delivery_lag_seconds",] < 90
    with database.transaction() as cursor:
        dead = cursor.execute("UPDATE deliveries SET dead_at = now()").rowcount
    given_up = scraped(client)
    assert given_up["queue_depth", "deliveries", "dead"] == dead > 0
    assert given_up["delivery_lag_seconds",] == 0


def test_precision_comes_from_verdicts_with_its_bound(
    client: TestClient, settings: Settings, database: Database, media: MediaStore, done: World
) -> None:
    industry = done.industry.slug
    rows = client.get("/v1/results?status=accepted").json()["items"]
    assert len(rows) > 0
    assert scraped(client)["accepted_judged", industry] == 0
    for row in rows:
        client.post(f"/v1/matches/{row['match_id']}/label", json={"verdict": "accept"}).raise_for_status()
    assert scraped(client)["accepted_judged", industry] == 0, "verdicts are counted once a minute"
    key = client.headers["X-API-Key"]
    with TestClient(create_app(settings, database, media), headers={"X-API-Key": key}) as later:
        found = scraped(later)
    assert found["accepted_judged", industry] == len(rows)
    assert found["accepted_precision", industry] == 1
    assert 0 < found["accepted_precision_lower_bound", industry] < 1


def test_recall_is_measured_on_the_index(
    client: TestClient, repos: Store, media: MediaStore, database: Database
) -> None:
    shop = stocked(repos, media, 64)
    repos.text_vectors.add("model", 64, b"data")
    vectors = PgVectorStore(database, "model")
    vectors.store_product_embeddings(shop.given)
    assert scraped(client)["vector_recall", "model"] == 1
    measured = vectors.recall(queries=5, limit=8)
    assert measured is not None
    assert (measured.queries, measured.wanted) == (5, 40)
    assert PgVectorStore(database, "another").recall() is None


def test_material_that_outlived_its_terms_shows(
    settings: Settings, database: Database, media: MediaStore, tokens: dict[str, str], done: World
) -> None:
    source = str(database.value("SELECT src FROM products LIMIT 1"))
    limited = settings.model_copy(update={"source_policies": f'{{"{source}": {{"max_age_h": 6}}}}'})
    headers = {"X-API-Key": tokens["read"]}
    with TestClient(create_app(limited, database, media), headers=headers) as first:
        assert scraped(first)["purge_overdue_seconds", source] == 0
    with database.transaction() as cursor:
        cursor.execute("UPDATE products SET seen_at = now() - interval '7 hours'")
    with TestClient(create_app(limited, database, media), headers=headers) as later:
        assert 3_600 <= scraped(later)["purge_overdue_seconds", source] < 3_900


def test_requests_are_counted_by_route(client: TestClient) -> None:
    client.get("/v1/jobs/none")
    client.get("/v1/jobs/other")
    client.get("/nothing/here")
    client.request("BREW", "/v1/jobs")
    found = scraped(client)
    assert found["http_requests_total", "GET", "/v1/jobs/{job_id}", "404"] == 2
    assert found["http_requests_total", "GET", "unmatched", "404"] == 1
    assert sum(value for key, value in found.items() if key[:2] == ("http_requests_total", "other")) == 1
    assert found["http_request_duration_seconds_count", "GET", "/v1/jobs/{job_id}"] == 2
    assert found["http_request_duration_seconds_bucket", "+Inf", "GET", "/v1/jobs/{job_id}"] == 2
    assert found["http_request_duration_seconds_sum", "GET", "/v1/jobs/{job_id}"] > 0
    assert "/v1/jobs/none" not in client.get("/metrics").text, "a caller's words are no label"


def test_connections_stand_against_what_there_may_be(client: TestClient, database: Database) -> None:
    limit = int(database.value("SHOW max_connections"))
    mine = str(database.value("SELECT current_database()"))
    found = scraped(client)
    assert 0 < found["database_connections_limit", "pvm"] <= limit
    assert found["database_connections", mine, "pvm"] >= 1
    assert found["database_up", "pvm"] == 1
    assert found["database_up", "dagster"] == 0, "this home has none"
    assert not [key for key in found if key[0].startswith("dagster_")]
