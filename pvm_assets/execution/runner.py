"""Runs a job in this process: creates the Dagster run, locks it, executes it, says how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import dagster as dg
import sqlalchemy.exc
from dagster._core.execution.api import execute_run_iterator
from dagster._core.storage.dagster_run import DagsterRun
from dagster._core.utils import make_new_run_id
from dagster_postgres.utils import DagsterPostgresException

from pvm_assets.execution.bootstrap import dagster_instance
from pvm_assets.execution.code_location import CodeLocation
from pvm_assets.execution.stale_runs import fail_stale_runs
from pvm_assets.graph import asset_of
from pvm_assets.jobs import JOB_NAME
from pvm_assets.partitions import PARTITIONS_NAME
from pvm_assets.run_tags import FOREGROUND_TAG, JOB_TAG, PARTITION_TAG
from pvm_core.errors import StoreError
from pvm_resources.dagster_logs import QUIET
from pvm_resources.postgres.connect import database_dsn
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.locks import run_lock_name
from pvm_resources.settings import Settings
from pvm_resources.store.jobs import Jobs
from pvm_resources.store.records import Job

RunStatus = Literal["completed", "failed", "cancelled"]


@dataclass(frozen=True)
class StepNews:
    """Something that happened to a step of the run.

    Attributes:
        step: the asset's name, or ``<asset>_<check>`` for a check.
        kind: Dagster's event, e.g. ``STEP_START``, ``STEP_SUCCESS``, ``STEP_FAILURE``, ``STEP_SKIPPED``.
        message: Dagster's message.
    """

    step: str
    kind: str
    message: str


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        error: code, subject, reason, remedy, retryable and stage of the failure; None without one.
        stale: runs that were found without a worker and marked failed before this one started.
    """

    run_id: str
    status: RunStatus
    error: dict[str, Any] | None
    stale: tuple[str, ...] = ()


def run_job(
    job_id: str, settings: Settings, location: CodeLocation, on_news: Callable[[StepNews], None] | None = None
) -> RunOutcome:
    """Runs all assets of a job in this process and waits for the end.

    `bootstrap` must have run. Ctrl-C (SIGINT) or SIGTERM cancels the run at the next point where nothing is
    half written; what is finished stays, and the same call later goes on from there.

    Args:
        location: the code location whose job is run.
        on_news: called with what happens to each step, in this thread.

    Raises:
        InputError: ``job.unknown``.
        StoreError: a database is out of reach; the run is marked failed by the next `fail_stale_runs`.
    """
    with Database(database_dsn(settings)) as database:
        job = Jobs(database).get(job_id)
        try:
            with dagster_instance() as instance:
                stale = tuple(fail_stale_runs(instance, database))
                return _run(job, instance, database, location, on_news, stale)
        except (sqlalchemy.exc.SQLAlchemyError, DagsterPostgresException) as error:
            raise StoreError(
                "dagster.unreachable",
                "Dagster's database",
                f"it went away during the run ({type(error).__name__})",
                "Run the job again when it is back: finished items are kept",
            ) from error


def _run(
    job: Job,
    instance: dg.DagsterInstance,
    database: Database,
    location: CodeLocation,
    on_news: Callable[[StepNews], None] | None,
    stale: tuple[str, ...],
) -> RunOutcome:
    run_id = make_new_run_id()
    with database.run_lock(run_lock_name(run_id)):
        run = create_run(instance, job, run_id, location)
        try:
            for event in execute_run_iterator(location.job(JOB_NAME), run, instance):
                if on_news is not None and event.step_key is not None:
                    on_news(StepNews(asset_of(event.step_key), event.event_type_value, event.message or ""))
        finally:
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        return _outcome(instance, database, job.job_id, run_id, stale)


def create_run(instance: dg.DagsterInstance, job: Job, run_id: str, location: CodeLocation) -> DagsterRun:
    """A run of the whole job, registered with its partition and the origin under which the UI knows it."""
    instance.add_dynamic_partitions(PARTITIONS_NAME, [job.partition_key])
    pointer = location.job(JOB_NAME)
    tags = {
        PARTITION_TAG: job.partition_key,
        JOB_TAG: job.job_id,
        FOREGROUND_TAG: run_id,
        # Who started it at a terminal decides whether to start it again.
        "dagster/max_retries": "0",
    }
    return instance.create_run_for_job(
        pointer.get_definition(),
        run_id=run_id,
        # The command line shows the progress; every event and log line is in the instance.
        run_config={"loggers": dict(QUIET)},
        tags=tags,
        remote_job_origin=location.origin_of(JOB_NAME),
        job_code_origin=pointer.get_python_origin(),
    )


def _outcome(
    instance: dg.DagsterInstance, database: Database, job_id: str, run_id: str, stale: tuple[str, ...]
) -> RunOutcome:
    run = instance.get_run_by_id(run_id)
    error = Jobs(database).get(job_id).error
    if run is not None and run.status == dg.DagsterRunStatus.SUCCESS:
        return RunOutcome(run_id, "completed", None, stale)
    if run is not None and run.status in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.CANCELING):
        return RunOutcome(run_id, "cancelled", error, stale)
    return RunOutcome(run_id, "failed", error or {"code": "run.failed", "reason": "see the run's log"}, stale)
