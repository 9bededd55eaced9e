"""Started runs whose worker is gone are ended; a run that has a worker, or has ended meanwhile, is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.execution.api import execute_run_iterator
from stand import Stand

from pvm_assets.execution.executors import pick_executor
from pvm_assets.execution.stale_runs import fail_stale_runs
from pvm_assets.run_tags import ATTENTION_TAG, DETECTOR_TAG, FOREGROUND_TAG, PARTITION_TAG
from pvm_resources.postgres.locks import run_lock_name
from pvm_resources.store.records import Job

Status = dg.DagsterRunStatus


@dg.op
def _nothing() -> None:
    pass


@dg.job(executor_def=pick_executor("in_process"))
def _small() -> None:
    _nothing()


def _started(instance: dg.DagsterInstance, job: Job) -> str:
    """A started run of the job, as a terminal starts it; nobody holds its lock."""
    run = instance.create_run_for_job(_small, tags={PARTITION_TAG: job.partition_key})
    instance.add_run_tags(run.run_id, {FOREGROUND_TAG: run.run_id})
    _report(instance, run.run_id, DagsterEventType.RUN_START)
    return run.run_id


def _report(instance: dg.DagsterInstance, run_id: str, kind: DagsterEventType) -> None:
    instance.report_dagster_event(DagsterEvent(kind.value, "_small"), run_id)


def _status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.fixture
def job(stand: Stand, instance: dg.DagsterInstance) -> Job:
    """A running job, without other runs that could be found."""
    fail_stale_runs(instance, stand.repos.database)
    return stand.job()


@pytest.mark.parametrize(
    ("last", "told"),
    [(DagsterEventType.RUN_START, "failed"), (DagsterEventType.RUN_CANCELING, "cancelled")],
    ids=["started", "canceling"],
)
def test_a_run_without_a_worker_is_ended_once(
    stand: Stand, instance: dg.DagsterInstance, job: Job, last: DagsterEventType, told: str
) -> None:
    run_id = _started(instance, job)
    stand.repos.jobs.set_running(job.job_id, run_id)
    _report(instance, run_id, last)

    assert fail_stale_runs(instance, stand.repos.database) == [run_id]
    assert fail_stale_runs(instance, stand.repos.database) == []

    assert _status(instance, run_id) == (Status.FAILURE if told == "failed" else Status.CANCELED)
    assert stand.repos.jobs.get(job.job_id).status == told


@pytest.mark.parametrize(("detector", "left"), [("", "complete"), ("haar", "running")])
def test_an_analysis_without_a_worker_has_failed_though_its_location_is_away(
    stand: Stand, instance: dg.DagsterInstance, job: Job, detector: str, left: str
) -> None:
    analyses, other = stand.repos.attention, "haar" if not detector else "blazeface"
    tags = {PARTITION_TAG: job.partition_key, ATTENTION_TAG: "1"} | (
        {DETECTOR_TAG: detector} if detector else {}
    )
    run = instance.create_run_for_job(_small, tags=tags)
    instance.add_run_tags(run.run_id, {FOREGROUND_TAG: run.run_id})
    _report(instance, run.run_id, DagsterEventType.RUN_START)
    analyses.begin(job.job_id, "a1", "blazeface", "f1")
    analyses.begin(job.job_id, "a2", "haar", "f2", main=False)
    if not detector:
        analyses.finish_asset(job.job_id, "attention", {}, complete=True, detector="haar", main=False)
    assert fail_stale_runs(instance, stand.repos.database) == [run.run_id]
    state = analyses.job(job.job_id)
    assert state is not None
    assert state.variants[other]["status"] == left
    struck = state.variants[detector or "blazeface"]
    assert (struck["status"], struck["reason"]["code"]) == ("failed", "run.died")
    assert state.status == ("running" if detector else "failed"), "the analysis that counts"
    assert stand.repos.jobs.get(job.job_id).status == "queued", "matching knows nothing of it"


def test_a_run_with_a_worker_is_left_alone(stand: Stand, instance: dg.DagsterInstance, job: Job) -> None:
    run_id = _started(instance, job)
    with stand.repos.database.run_lock(run_lock_name(run_id)):
        assert fail_stale_runs(instance, stand.repos.database) == []
    assert _status(instance, run_id) == Status.STARTED


def test_a_run_that_ends_between_the_listing_and_the_lock_stays_as_it_ended(
    stand: Stand, instance: dg.DagsterInstance, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = _started(instance, job)
    stand.repos.jobs.set_running(job.job_id, run_id)
    worker = stand.repos.database.run_lock(run_lock_name(run_id))
    assert worker.acquire()
    listed: Callable[..., Any] = instance.get_run_records

    def listed_a_moment_too_early(*args: Any, **kwargs: Any) -> Any:
        records = listed(*args, **kwargs)
        stand.repos.jobs.complete(job.job_id)
        _report(instance, run_id, DagsterEventType.RUN_SUCCESS)
        worker.release()
        return records

    monkeypatch.setattr(instance, "get_run_records", listed_a_moment_too_early)
    assert fail_stale_runs(instance, stand.repos.database) == []
    assert _status(instance, run_id) == Status.SUCCESS
    assert stand.repos.jobs.get(job.job_id).status == "completed"
    kinds = {log.dagster_event_type for log in instance.all_logs(run_id)}
    assert DagsterEventType.RUN_FAILURE not in kinds


def test_a_worker_holds_its_lock_until_the_last_status_is_written(
    stand: Stand, instance: dg.DagsterInstance, job: Job
) -> None:
    # No tag of a terminal: the run takes its lock itself, as in a worker that Dagster launched.
    run = instance.create_run_for_job(_small, tags={PARTITION_TAG: job.partition_key})
    held = {
        event.event_type: bool(stand.repos.database.locked([run_lock_name(run.run_id)]))
        for event in execute_run_iterator(dg.reconstructable(_load), run, instance)
    }
    assert held[DagsterEventType.STEP_SUCCESS]
    assert held[DagsterEventType.RUN_SUCCESS]
    assert _status(instance, run.run_id) == Status.SUCCESS


def _load() -> dg.JobDefinition:
    return _small
