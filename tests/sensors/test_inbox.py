"""Requests become runs: once each, whatever dies in between, and a bad one stops no other."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.tags import RUN_KEY_TAG

from pvm_assets.partitions import PARTITIONS_NAME
from pvm_assets.run_tags import EVENT_TAG, INDUSTRY_TAG, JOB_TAG, PARTITION_TAG
from pvm_jobs.events import COLLECT, MATCH, SEARCH
from pvm_resources.postgres.driver import Database, Statement
from pvm_resources.settings import Settings, load_settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.inbox import START, Inbox, InboxListener
from pvm_resources.store.schedules import Schedules
from sensors.inbox import InboxProcessor
from sensors.inbox import inbox as inbox_sensor
from sensors.inventory import INVENTORY, inventory
from sensors.standing import order_due

_REQUEST = {"products": ["https://shop.example/a.csv"], "videos": ["youtube"]}


@pytest.fixture
def settings(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that the sensors find as well."""
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    monkeypatch.setenv("PVM_HOME", str(tmp_path))
    return load_settings(tmp_path / "none.env")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance of its own."""
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def inbox(database: Database) -> Inbox:
    """The inbox."""
    return Inbox(database)


@pytest.fixture
def processor(instance: dg.DagsterInstance, repos: Store, settings: Settings) -> InboxProcessor:
    """The sensor's processor."""
    return InboxProcessor(instance, repos, settings, logging.getLogger("test"))


def _submit(repos: Store, inbox: Inbox, name: str = "giày") -> str:
    return inbox.submit(repos.industries.ensure(name).slug, _REQUEST, "test")[0]


def _later(database: Database, seconds: float = 60) -> None:
    """As if that much time had passed."""
    database.commit(
        Statement(
            "UPDATE inbox SET claimed_at = claimed_at - make_interval(secs => %(s)s), "
            "received_at = received_at - make_interval(secs => %(s)s)",
            {"s": seconds},
        )
    )


def _launch(instance: dg.DagsterInstance, request: dg.RunRequest) -> str:
    """What the daemon does with a run request: one run per key, ever."""
    found = instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: str(request.run_key)}))
    if found:
        return found[0].run_id

    @dg.op
    def nothing() -> None: ...

    @dg.job
    def some() -> None:
        nothing()

    tags = {**request.tags, RUN_KEY_TAG: str(request.run_key), PARTITION_TAG: str(request.partition_key)}
    run = instance.create_run_for_job(some, tags=tags)
    instance.run_storage.handle_run_event(run.run_id, dg.DagsterEvent("PIPELINE_START", "some"))
    return run.run_id


# -- starting -----------------------------------------------------------------------------------------


def test_a_request_becomes_one_run_of_its_partition(
    repos: Store, inbox: Inbox, processor: InboxProcessor
) -> None:
    job = repos.jobs.get(_submit(repos, inbox, "gối công thái học"))
    (row,) = inbox.rows()
    (request,) = processor.process(0)
    assert request.run_key == str(row.event_id)
    assert request.partition_key == job.partition_key
    assert request.tags == {
        JOB_TAG: job.job_id, INDUSTRY_TAG: "goi-cong-thai-hoc", EVENT_TAG: str(row.event_id),
    }  # fmt: skip
    assert processor.process(0) == []


def test_the_sensor_adds_the_partition_and_says_what_to_run(
    repos: Store, inbox: Inbox, instance: dg.DagsterInstance, settings: Settings
) -> None:
    job = repos.jobs.get(_submit(repos, inbox))
    result = inbox_sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(result, dg.SensorResult)
    assert [r.partition_key for r in result.run_requests or []] == [job.partition_key]
    (added,) = result.dynamic_partitions_requests or []
    assert (added.partitions_def_name, added.partition_keys) == (PARTITIONS_NAME, [job.partition_key])


def test_a_look_hears_of_a_request_that_comes_meanwhile(
    repos: Store, inbox: Inbox, database_url: str
) -> None:
    with InboxListener(database_url) as news:
        assert not news.wait(0.05)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(news.wait, 20)
            _submit(repos, inbox)
            assert waiting.result(timeout=20)


def test_a_daemon_killed_before_the_launch_gets_the_request_again(
    repos: Store, inbox: Inbox, processor: InboxProcessor, database: Database, instance: dg.DagsterInstance
) -> None:
    _submit(repos, inbox)
    (lost,) = processor.process(0)
    assert processor.process(0) == [], "not at once: the launch may be on its way"
    _later(database)
    (again,) = processor.process(0)
    assert again.run_key == lost.run_key
    _launch(instance, again)
    _later(database)
    assert processor.process(0) == []
    assert [row.status for row in inbox.rows()] == ["started"]


def test_a_daemon_killed_after_the_launch_starts_nothing_twice(
    repos: Store, inbox: Inbox, processor: InboxProcessor, database: Database, instance: dg.DagsterInstance
) -> None:
    job = _submit(repos, inbox)
    (request,) = processor.process(0)
    run_id = _launch(instance, request)
    repos.jobs.set_running(job, run_id)
    _later(database)
    assert processor.process(0) == []
    (row,) = inbox.rows()
    assert (row.status, row.run_id) == ("started", run_id)
    repos.jobs.complete(job)
    processor.process(0)
    assert inbox.rows()[0].status == "done"


def test_what_came_while_nobody_looked_is_found(
    repos: Store, inbox: Inbox, processor: InboxProcessor
) -> None:
    jobs = [_submit(repos, inbox, f"industry {n}") for n in range(20)]
    found = processor.process(0)
    assert [request.tags[JOB_TAG] for request in found] == jobs
    assert len({request.run_key for request in found}) == 20


def test_two_who_claim_at_once_share_the_requests(repos: Store, inbox: Inbox) -> None:
    for n in range(30):
        _submit(repos, inbox, f"industry {n}")
    with ThreadPoolExecutor(6) as pool:
        claimed = list(pool.map(lambda _: inbox.claim(limit=5), range(8)))
    ids = [row.event_id for rows in claimed for row in rows]
    assert len(ids) == len(set(ids)) == 30


def test_the_same_event_is_kept_once(inbox: Inbox) -> None:
    event = uuid.uuid4()
    assert inbox.accept(event, MATCH, {"job_id": "x"}, "bus")
    assert not inbox.accept(event, MATCH, {"job_id": "y"}, "bus")
    assert len(inbox.rows()) == 1


# -- bad requests -------------------------------------------------------------------------------------

_BAD: list[tuple[str, dict[str, Any], str]] = [
    (START, {}, "inbox.job"),
    (MATCH, {}, "inbox.job"),
    (MATCH, {"job_id": "no-such-job"}, "job.unknown"),
    (MATCH, {"job_id": ["x"]}, "inbox.job"),
    (MATCH, {"job_id": "a b"}, "inbox.job"),
    (COLLECT, {"job_id": "j1"}, "industry.name"),
    (COLLECT, {"job_id": "j2", "industry": 7}, "industry.name"),
    (COLLECT, {"job_id": "j3", "industry": "x", "top_ebay": "many"}, "request.top"),
    (COLLECT, {"job_id": "j4", "industry": "x", "products": ["/etc/passwd"]}, "source.forbidden"),
    (SEARCH, {"job_id": "j5", "industry": "x", "platforms": ["tiktok"]}, "request.platforms"),
    (SEARCH, {"job_id": "j6", "industry": "x"}, "request.no_products"),
]


def test_a_bad_request_is_refused_with_its_reason_and_stops_no_other(
    repos: Store, inbox: Inbox, processor: InboxProcessor, database: Database
) -> None:
    for topic, payload, _ in _BAD:
        inbox.accept(uuid.uuid4(), topic, payload, "bus")
    good = _submit(repos, inbox)
    _later(database)
    (request,) = processor.process(0)
    assert request.tags[JOB_TAG] == good
    refused = inbox.rows("rejected")
    assert [(row.error or {})["code"] for row in refused] == [code for _, _, code in _BAD]
    assert all((row.error or {})["reason"] for row in refused)


def test_a_request_that_brings_down_whoever_takes_it_ends(
    repos: Store, inbox: Inbox, processor: InboxProcessor, database: Database
) -> None:
    _submit(repos, inbox)
    database.commit(Statement("UPDATE inbox SET attempts = 20"))
    assert processor.process(0) == []
    assert (inbox.rows()[0].error or {})["code"] == "inbox.attempts"


# -- requests of the bus ------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(COLLECT, SEARCH), (SEARCH, COLLECT)])
def test_two_founding_requests_are_one_job(
    repos: Store, inbox: Inbox, processor: InboxProcessor, order: tuple[str, str]
) -> None:
    payloads = {
        COLLECT: {"job_id": "legacy-1", "industry": "gối", "top_amz": 5, "top_ebay": 0},
        SEARCH: {"job_id": "legacy-1", "industry": "gối", "queries": ["gối"], "platforms": ["youtube"],
                 "recency_days": 30},
    }  # fmt: skip
    inbox.accept(uuid.uuid4(), order[0], payloads[order[0]], "bus")
    assert processor.process(0) == [], "its other half is on its way"
    inbox.accept(uuid.uuid4(), order[1], payloads[order[1]], "bus")
    (request,) = processor.process(0)
    job = repos.jobs.get("legacy-1")
    assert request.partition_key == job.partition_key
    assert job.request == {
        "products": ["amazon"], "videos": ["youtube"], "tops": {"amazon": 5}, "queries": {"und": ["gối"]},
        "recency_days": 30,
    }  # fmt: skip


def test_half_a_founding_request_waits_and_then_takes_standing_sources(
    repos: Store, inbox: Inbox, processor: InboxProcessor, database: Database
) -> None:
    slug = repos.industries.ensure("gối").slug
    repos.industries.set_sources(slug, {"videos": ["/srv/clips"]})
    inbox.accept(uuid.uuid4(), COLLECT, {"job_id": "half", "industry": "gối", "top_ebay": 3}, "bus")
    assert processor.process(0) == []
    _later(database, 11)
    assert len(processor.process(0)) == 1
    assert repos.jobs.get("half").request["videos"] == ["/srv/clips"]
    inbox.accept(uuid.uuid4(), SEARCH, {"job_id": "half", "industry": "gối"}, "bus")
    assert processor.process(0) == []


def test_a_match_request_runs_a_job_that_has_ended_again(
    repos: Store, inbox: Inbox, processor: InboxProcessor
) -> None:
    job = _submit(repos, inbox)
    processor.process(0)
    repos.jobs.set_running(job, "run-1")
    repos.jobs.complete(job)
    inbox.accept(uuid.uuid4(), MATCH, {"job_id": job}, "bus")
    assert processor.process(0) == []
    (request,) = processor.process(0)
    assert request.tags[JOB_TAG] == job
    assert repos.jobs.get(job).status == "queued"


# -- orders -------------------------------------------------------------------------------------------


def test_a_job_cancelled_before_it_started_never_starts(
    repos: Store, inbox: Inbox, processor: InboxProcessor
) -> None:
    job = _submit(repos, inbox)
    assert inbox.cancel(job, "test")
    assert processor.process(0) == []
    assert repos.jobs.get(job).status == "cancelled"
    assert {row.status for row in inbox.rows()} == {"done"}


def test_cancelling_ends_the_run_and_cleans_the_partition(
    repos: Store,
    inbox: Inbox,
    processor: InboxProcessor,
    database: Database,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(instance.run_coordinator, "cancel_run", ended.append)
    job = repos.jobs.get(_submit(repos, inbox))
    (request,) = processor.process(0)
    instance.add_dynamic_partitions(PARTITIONS_NAME, [job.partition_key])
    run_id = _launch(instance, request)
    inbox.cancel(job.job_id, "test")
    processor.process(0)
    assert ended == [run_id]
    assert instance.has_dynamic_partition(PARTITIONS_NAME, job.partition_key), "its run has not ended"
    instance.run_storage.handle_run_event(run_id, dg.DagsterEvent("PIPELINE_CANCELED", "some"))
    _later(database)
    processor.process(0)
    assert not instance.has_dynamic_partition(PARTITIONS_NAME, job.partition_key)


def test_an_order_to_cancel_spares_the_run_of_a_later_retry(
    repos: Store,
    inbox: Inbox,
    processor: InboxProcessor,
    database: Database,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(instance.run_coordinator, "cancel_run", ended.append)
    job = repos.jobs.get(_submit(repos, inbox))
    inbox.cancel(job.job_id, "test")
    inbox.retry(job.job_id, "test")
    (request,) = processor.process(0)
    instance.add_dynamic_partitions(PARTITIONS_NAME, [job.partition_key])
    _launch(instance, request)
    _later(database)
    processor.process(0)
    assert ended == []
    assert instance.has_dynamic_partition(PARTITIONS_NAME, job.partition_key)
    assert repos.jobs.get(job.job_id).status == "queued"


@pytest.mark.parametrize("how", ["delete", "archive"])
def test_a_job_put_away_leaves_no_partition(
    repos: Store, inbox: Inbox, processor: InboxProcessor, instance: dg.DagsterInstance, how: str
) -> None:
    job = repos.jobs.get(_submit(repos, inbox))
    processor.process(0)
    instance.add_dynamic_partitions(PARTITIONS_NAME, [job.partition_key])
    repos.jobs.set_running(job.job_id, "run-1")
    repos.jobs.complete(job.job_id)
    if how == "delete":
        inbox.delete(job.job_id, "test")
    else:
        inbox.archive(job.job_id, "test")
    processor.process(0)
    assert not instance.has_dynamic_partition(PARTITIONS_NAME, job.partition_key)
    assert (repos.jobs.find(job.job_id) is None) is (how == "delete")


# -- by the clock -------------------------------------------------------------------------------------


def test_standing_industries_are_run_when_their_time_has_come(
    repos: Store, inbox: Inbox, database: Database, settings: Settings
) -> None:
    standing, slug = Schedules(database), repos.industries.ensure("gối").slug
    assert order_due(repos, settings, print) == []
    standing.set_every(slug, 24)
    assert order_due(repos, settings, print) == [], "no standing sources"
    repos.industries.set_sources(slug, {"products": "/srv/a.csv", "videos": "/srv/clips"})
    with ThreadPoolExecutor(4) as pool:
        ordered = [
            job for jobs in pool.map(lambda _: order_due(repos, settings, print), range(4)) for job in jobs
        ]
    (job,) = ordered
    assert [row.job_id for row in inbox.rows()] == [job]
    database.commit(Statement("UPDATE jobs SET created_at = now() - interval '25 hours'"))
    assert order_due(repos, settings, print) == [], "the last one is still open"
    repos.jobs.set_running(job, "run-1")
    repos.jobs.complete(job)
    assert len(order_due(repos, settings, print)) == 1


def test_the_inventory_says_what_waits(
    repos: Store, inbox: Inbox, database: Database, settings: Settings, instance: dg.DagsterInstance
) -> None:
    assert [list(examine(repos).lines) for examine in INVENTORY] == [[], [], []]
    failed = _submit(repos, inbox, "gối")
    repos.jobs.set_running(failed, "run-1")
    repos.jobs.fail(failed, {"code": "run.died", "reason": "gone"})
    _later(database, 600)
    lines = [list(examine(repos).lines) for examine in INVENTORY]
    assert "job.start" in lines[0][0]
    assert lines[1] == [f"goi@{failed}: run.died"]
    result = inventory(dg.build_sensor_context(instance=instance))
    assert isinstance(result, dg.SensorResult)
    verdicts = {one.check_name: one.passed for one in result.asset_events}  # type: ignore[union-attr]
    assert verdicts == {"requests_started": False, "partitions_healthy": False, "events_delivered": True}
    again = inventory(dg.build_sensor_context(instance=instance, cursor=result.cursor))
    assert isinstance(again, dg.SkipReason)


def test_the_end_of_an_old_run_does_not_fail_a_retried_job(repos: Store, inbox: Inbox) -> None:
    from sensors.run_status import open_jobs

    job = repos.jobs.get(_submit(repos, inbox))
    repos.jobs.set_running(job.job_id, "old-run")
    repos.jobs.fail(job.job_id, {"code": "x", "reason": "y"})
    inbox.retry(job.job_id, "test")

    run = dg.DagsterRun(job_name="some", run_id="old-run", tags={PARTITION_TAG: job.partition_key})
    assert open_jobs(repos.jobs, run) == []
