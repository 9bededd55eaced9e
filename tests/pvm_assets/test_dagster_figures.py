"""Dagster's runs, queue and pools as a monitor is shown them, held against Dagster's own instance."""

from __future__ import annotations

import time
from collections.abc import Iterator

import dagster as dg
import psycopg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from fastapi.testclient import TestClient
from stand import LOCATION, Stand

from pvm_api.app import create_app
from pvm_assets.jobs import JOB_NAME
from pvm_resources.media.store import MediaStore
from pvm_resources.store.api_keys import Keys
from tests.deploy.monitored import metric_names
from tests.pvm_api.scraped import scraped

Status = dg.DagsterRunStatus


@dg.op
def _nothing() -> None:
    pass


@dg.job
def _small() -> None:
    _nothing()


def _queued(instance: dg.DagsterInstance) -> str:
    origin = LOCATION.origin_of(JOB_NAME)
    return instance.create_run_for_job(_small, status=Status.QUEUED, remote_job_origin=origin).run_id


@pytest.fixture
def client(stand: Stand) -> Iterator[TestClient]:
    """The API of the stand."""
    database = stand.repos.database
    headers = {"X-API-Key": Keys(database).create("monitor", ["read"])[1]}
    app = create_app(stand.settings, database, MediaStore(stand.settings.media))
    with TestClient(app, headers=headers) as found:
        yield found


def test_runs_by_status_and_age(
    client: TestClient, instance: dg.DagsterInstance, dagster_database: str
) -> None:
    before = scraped(client)
    queued = [_queued(instance) for _ in range(3)]
    instance.create_run_for_job(_small, status=Status.FAILURE)
    with psycopg.connect(dagster_database, autocommit=True) as connection:
        connection.execute(
            "UPDATE runs SET create_timestamp = create_timestamp - interval '20 minutes' WHERE run_id = %s",
            [queued[0]],
        )
    found = scraped(client)

    def more(*key: str) -> float:
        return found[key] - before.get(key, 0)

    assert more("dagster_runs", "QUEUED") == 3
    assert more("dagster_runs", "FAILURE") == 1
    assert more("dagster_open_runs", "1m", "QUEUED") == 2
    assert more("dagster_open_runs", "10m", "QUEUED") == 0
    assert more("dagster_open_runs", "1h", "QUEUED") == 1
    assert 1_200 <= found["dagster_oldest_open_run_seconds", "QUEUED"] < 1_500
    assert found["database_up", "dagster"] == 1
    for run in queued:
        instance.delete_run(run)


def test_the_queue_says_when_it_moved_and_how_long_a_run_waited(
    client: TestClient, instance: dg.DagsterInstance, dagster_database: str
) -> None:
    run = _queued(instance)
    with psycopg.connect(dagster_database, autocommit=True) as connection:
        connection.execute(
            "UPDATE runs SET create_timestamp = create_timestamp - interval '100 seconds' WHERE run_id = %s",
            [run],
        )
    started = time.time()
    for kind in (DagsterEventType.RUN_DEQUEUED, DagsterEventType.RUN_STARTING, DagsterEventType.RUN_START):
        instance.report_dagster_event(DagsterEvent(kind.value, "_small"), run)
    found = scraped(client)
    assert started - 5 <= found["dagster_last_dequeue_timestamp_seconds",] <= time.time() + 5
    assert found["dagster_queue_wait_seconds", "1.0"] >= 100
    instance.delete_run(run)


def test_a_slot_held_by_a_run_that_has_ended_shows(client: TestClient, instance: dg.DagsterInstance) -> None:
    events = instance.event_log_storage
    events.set_concurrency_slots("figures", 2)
    alive = instance.create_run_for_job(_small, status=Status.STARTED).run_id
    dead = instance.create_run_for_job(_small, status=Status.STARTED).run_id
    for run in (alive, dead):
        assert events.claim_concurrency_slot("figures", run, "step").is_claimed
    running = scraped(client)
    assert running["dagster_pool_slots", "figures", "used"] == 2
    assert running["dagster_pool_slots", "figures", "held_by_ended"] == 0
    instance.report_run_failed(instance.get_run_by_id(dead))  # type: ignore[arg-type]
    found = scraped(client)
    assert [found["dagster_pool_slots", "figures", state] for state in ("free", "used", "held_by_ended")] == [
        0, 1, 1,
    ]  # fmt: skip
    events.free_concurrency_slots_for_run(dead)
    assert scraped(client)["dagster_pool_slots", "figures", "free"] == 1
    events.delete_concurrency_limit("figures")


def test_dashboards_and_alerts_ask_for_what_is_exported(client: TestClient) -> None:
    text = client.get("/metrics").text
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
    exported = {name + ending for name in families for ending in ("", "_bucket", "_count", "_sum")}
    assert metric_names() <= exported, metric_names() - exported
