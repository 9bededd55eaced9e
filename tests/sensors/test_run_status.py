"""Jobs learn how runs ended that their own worker could not report."""

from __future__ import annotations

import dagster as dg
import pytest

from pvm_resources.store.assembly import Store
from sensors.run_status import cancelled_runs, failed_runs, open_jobs


@pytest.fixture
def job_id(repos: Store, database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A queued job in the database the sensors find."""
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    return repos.jobs.create(repos.industries.ensure("gối").slug, {}).job_id


def _ended(instance: dg.DagsterInstance, partition: str, status: str) -> dg.RunStatusSensorContext:
    @dg.op
    def nothing() -> None: ...

    @dg.job(tags={"dagster/partition": partition})
    def some() -> None:
        nothing()

    result = some.execute_in_process(instance=instance)
    kinds = {"FAILURE": dg.DagsterEventType.RUN_FAILURE, "CANCELED": dg.DagsterEventType.RUN_CANCELED}
    event = dg.DagsterEvent(kinds[status].value, "some", message="the worker could not be started")
    return dg.build_run_status_sensor_context(
        sensor_name="s", dagster_event=event, dagster_instance=instance, dagster_run=result.dagster_run
    )


def test_a_run_that_failed_before_its_worker_started_fails_its_job(repos: Store, job_id: str) -> None:
    partition = repos.jobs.get(job_id).partition_key
    with dg.DagsterInstance.ephemeral() as instance:
        failed_runs(_ended(instance, partition, "FAILURE"))
    job = repos.jobs.get(job_id)
    assert job.status == "failed"
    assert job.error is not None
    assert "could not be started" in job.error["reason"]


def test_a_cancelled_run_cancels_its_job(repos: Store, job_id: str) -> None:
    partition = repos.jobs.get(job_id).partition_key
    with dg.DagsterInstance.ephemeral() as instance:
        context = _ended(instance, partition, "CANCELED")
        repos.jobs.set_running(job_id, context.dagster_run.run_id)
        cancelled_runs(context)
    assert repos.jobs.get(job_id).status == "cancelled"


def test_a_job_that_has_ended_or_has_a_newer_run_is_left_alone(repos: Store, job_id: str) -> None:
    partition = repos.jobs.get(job_id).partition_key
    with dg.DagsterInstance.ephemeral() as instance:
        context = _ended(instance, partition, "FAILURE")
        repos.jobs.set_running(job_id, "a-newer-run")
        assert open_jobs(repos.jobs, context.dagster_run) == []
        repos.jobs.complete(job_id)
        assert open_jobs(repos.jobs, context.dagster_run) == []
        failed_runs(context)
    assert repos.jobs.get(job_id).status == "completed"
