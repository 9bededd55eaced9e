"""Runs whose worker died: they are marked failed with their jobs, and their pool slots are freed.

A run worker holds a PostgreSQL advisory lock named by its run for as long as it lives, so a started run whose
lock is free has no worker. Dagster's default launcher has no health check that would see it, and the slot a
killed step held would block its pool for ever.
"""

from __future__ import annotations

import time
from typing import Any, Final

import dagster as dg

from pvm_assets.run_tags import ATTENTION_TAG, DETECTOR_TAG, FOREGROUND_TAG, PARTITION_TAG
from pvm_core.faces.detection import label_of
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.locks import run_lock_name
from pvm_resources.store.attention import Attention
from pvm_resources.store.jobs import Jobs

#: A run launched by Dagster takes its lock a moment after it is marked started; on a machine with forty
#: runnable processes that moment was seen to last more than 20 s.
_GRACE_S: Final = 60.0
_STARTED: Final = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
_DIED: Final[dict[str, Any]] = {
    "code": "run.died",
    "reason": "its worker process is gone",
    "remedy": "Run the job again: what is finished is not computed again",
    "retryable": True,
}


def fail_stale_runs(instance: dg.DagsterInstance, database: Database) -> list[str]:
    """Ends every started run that has no worker; returns their ids.

    Raises:
        StoreError: the database is out of reach.
    """
    records = instance.get_run_records(dg.RunsFilter(statuses=list(_STARTED)))
    now = time.time()
    return [
        r.dagster_run.run_id
        for r in records
        if r.dagster_run.tags.get(FOREGROUND_TAG) == r.dagster_run.run_id
        or now - (r.start_time or now) > _GRACE_S
        if _end_if_dead(instance, database, r.dagster_run.run_id)
    ]


def _end_if_dead(instance: dg.DagsterInstance, database: Database, run_id: str) -> bool:
    """True where the run had no worker and is ended now.

    The status is read under the run's lock: a worker holds it until its run's last status is written, and
    two processes that examine the same run take turns.
    """
    lock = database.run_lock(run_lock_name(run_id))
    if not lock.acquire():
        return False
    try:
        run = instance.get_run_by_id(run_id)
        if run is None or run.status not in _STARTED:
            return False
        _end(instance, run, database)
    finally:
        lock.release()
    return True


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, database: Database) -> None:
    message = (
        "The run's worker is gone: its lock is free. What it finished is kept; a new run goes on from there."
    )
    jobs = Jobs(database)
    cancelled = run.status == dg.DagsterRunStatus.CANCELING
    for job in jobs.by_run(run.run_id):
        _ = jobs.cancel(job.job_id) if cancelled else jobs.fail(job.job_id, _DIED)
    if ATTENTION_TAG in run.tags:
        _end_analysis(run, database)
    if cancelled:
        instance.report_run_canceled(run, message)
    else:
        instance.report_run_failed(run, message)
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _end_analysis(run: dg.DagsterRun, database: Database) -> None:
    """Its own location says so as well, where it is not away too."""
    job = Jobs(database).by_partition(run.tags.get(PARTITION_TAG, ""))
    if job is not None:
        detector = label_of(run.tags.get(DETECTOR_TAG, ""))
        Attention(database).fail_unfinished(job.job_id, _DIED["code"], _DIED["reason"], detector)
