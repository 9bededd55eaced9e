"""A run that ended outside its own worker's reach: its job gets the status that Dagster knows.

The worker itself writes a job's status (`pvm_assets.execution.supervision`); these sensors cover a run that
failed before its worker started, and one that was ended from the UI while its worker could not answer.
"""

from __future__ import annotations

import dagster as dg

from pvm_assets.graph import FINAL
from pvm_assets.run_tags import PARTITION_TAG, REFUSED_TAG
from pvm_jobs.job_ids import split_partition_key
from pvm_resources.store.jobs import Jobs
from sensors.open_store import open_store


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.FAILURE,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=15,
    description="A run failed: its job is failed too, where the worker could not say so.",
)
def failed_runs(context: dg.RunStatusSensorContext) -> None:
    """One failed run."""
    reason = {
        "code": "run.failed",
        "reason": context.dagster_event.message or "the run failed",
        "retryable": True,
    }
    with open_store() as store:
        for job_id in open_jobs(store.jobs, context.dagster_run):
            store.jobs.fail(job_id, reason)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=15,
    description="A run was cancelled: so is its job, where the worker could not say so.",
)
def cancelled_runs(context: dg.RunStatusSensorContext) -> None:
    """One cancelled run."""
    with open_store() as store:
        for job_id in open_jobs(store.jobs, context.dagster_run):
            store.jobs.cancel(job_id)


def open_jobs(jobs: Jobs, run: dg.DagsterRun) -> list[str]:
    """Jobs that still wait for the end of `run`: those it worked on last, and, where it never started, the
    queued job of its partition. A run that was refused worked on none."""
    if REFUSED_TAG in run.tags:
        return []
    found = [job.job_id for job in jobs.by_run(run.run_id) if job.status == "running"]
    whole = not run.asset_selection or any(key.path == [FINAL] for key in run.asset_selection)
    _, job_id = split_partition_key(run.tags.get(PARTITION_TAG, ""))
    if not found and whole and job_id is not None:
        job = jobs.by_partition(run.tags[PARTITION_TAG])
        # A queued job that knows this run waits for its next one.
        return [job_id] if job is not None and job.status == "queued" and job.run_id != run.run_id else []
    return found
