"""What the run worker does around any executor: it holds the run's lock, writes the job's status, and purges
what may not outlive the run."""

from __future__ import annotations

import atexit
import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from pvm_assets.execution.run_trace import traced_run
from pvm_assets.graph import FINAL, asset_of, of_industry
from pvm_assets.hand_added import admitted
from pvm_assets.run_tags import FOREGROUND_TAG, PARTITION_TAG
from pvm_core.errors import InputError, PvmError, StoreError
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.connect import database_dsn
from pvm_resources.postgres.driver import Database, RunLock
from pvm_resources.postgres.locks import job_lock_name, run_lock_name
from pvm_resources.retention.purge import Purge
from pvm_resources.settings import load_settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.job_traces import JobTraces
from pvm_resources.store.jobs import Jobs
from pvm_resources.store.retention import Retention

_log = logging.getLogger("pvm.purge")
Watch = Callable[[dg.DagsterEvent], None]


class RunRefusedError(Exception):
    """A run that cannot work on its partition, found out before its first step.

    Attributes:
        reason: an `InputError`: what is wrong, and what helps.
    """

    def __init__(self, reason: InputError) -> None:
        super().__init__(str(reason))
        self.reason = reason


@contextlib.contextmanager
def supervise(instance: dg.DagsterInstance, run: dg.DagsterRun, steps: frozenset[str]) -> Iterator[Watch]:
    """Locks around the run's steps, and the job's status before and after them.

    A run that holds the last asset is a run of the whole job: it alone moves the job's status, and at its
    end, however it ends, what may not outlive it is purged.

    Yields:
        a function to call with every event.

    Raises:
        RunRefusedError: its partition is no job and can become none, or lacks what the steps read.
        StoreError: ``run.locked``, another run works on the same job; or the database is out of reach.
    """
    key = run.tags.get(PARTITION_TAG)
    settings = load_settings()
    if key is None or of_industry(steps):
        with traced_run(settings, run, lambda _event: None) as watch:
            yield watch
        return
    with (
        Database(database_dsn(settings), max_connections=2) as database,
        contextlib.ExitStack() as held,
    ):
        try:
            job_id = admitted(Store.over(database), settings, key, steps).job_id
        except InputError as reason:
            raise RunRefusedError(reason) from reason
        _take_locks(held, database, run, job_id)
        # From here on every purge leaves this job's material alone; one batch may still be on its way.
        Retention(database).wait_for_batch()
        if FINAL in steps:
            held.callback(purge_after_run, database, job_id)
        recorder = Recorder(Jobs(database), job_id, run.run_id, FINAL in steps)
        recorder.begin()
        try:
            with traced_run(settings, run, recorder.watch, (JobTraces(database), job_id)) as watch:
                yield watch
        except (KeyboardInterrupt, DagsterExecutionInterruptedError):
            _mark_cancelling(instance, run)
            recorder.cancelled()
            raise
        except BaseException as error:
            # Not swallowed: whatever ends the orchestration also ends the job.
            recorder.broken(error)
            raise
        recorder.finish()


def _take_locks(held: contextlib.ExitStack, database: Database, run: dg.DagsterRun, job_id: str) -> None:
    held.enter_context(_taken(database, job_lock_name(job_id), job_id))
    if run.tags.get(FOREGROUND_TAG) != run.run_id:
        # Dagster writes the run's last status after its executor has ended: the lock ends with the process.
        atexit.register(_taken(database, run_lock_name(run.run_id), job_id).release)


def _taken(database: Database, name: str, job_id: str) -> RunLock:
    lock = database.run_lock(name)
    if lock.acquire():
        return lock
    raise StoreError(
        "run.locked",
        f"job {job_id}",
        "another run is working on it",
        "Wait until that run has ended, or cancel it",
    )


def purge_after_run(database: Database, job_id: str) -> None:
    """Purges what the end of that job's run ends the keeping of, and whatever else is due by now.

    A purge that fails takes nothing from the job's result: the schedule tries again.
    """
    try:
        settings = load_settings()
        failures = Purge(database, MediaStore(settings.media), settings).run(ending=job_id).failures
    except PvmError as error:
        failures = (error,)
    for failure in failures:
        _log.warning("not purged", extra={"job_id": job_id}, exc_info=failure)


def _mark_cancelling(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    # Dagster calls an interrupted run failed unless its end was requested; Ctrl-C at a terminal requests it.
    current = instance.get_run_by_id(run.run_id)
    foreground = run.tags.get(FOREGROUND_TAG) == run.run_id
    if foreground and current and current.status == dg.DagsterRunStatus.STARTED:
        instance.report_run_canceling(current, "Cancelled at the terminal")


class Recorder:
    """Writes a job's status as its run goes on.

    Args:
        whole: False for a run of single assets, which leaves the status as it is.
    """

    def __init__(self, jobs: Jobs, job_id: str, run_id: str, whole: bool) -> None:
        self._jobs = jobs
        self._job_id = job_id
        self._run_id = run_id
        self._whole = whole
        self._error: dict[str, Any] | None = None

    def begin(self) -> None:
        """The job is running."""
        if self._whole:
            self._jobs.set_running(self._job_id, self._run_id)

    def watch(self, event: dg.DagsterEvent) -> None:
        """Remembers the first failure."""
        if event.is_step_failure and self._error is None:
            self._error = describe_failure(event)

    def finish(self) -> None:
        """All steps have ended."""
        if not self._whole:
            return
        if self._error is None:
            self._jobs.complete(self._job_id)
        else:
            self._jobs.fail(self._job_id, self._error)

    def cancelled(self) -> None:
        """The run was cancelled."""
        if self._whole:
            self._jobs.cancel(self._job_id)

    def broken(self, error: BaseException) -> None:
        """The orchestration itself failed; where the database is the reason nothing can be written."""
        if self._whole and not isinstance(error, GeneratorExit):
            with contextlib.suppress(StoreError):
                reason = {
                    "code": "run.broken",
                    "reason": f"{type(error).__name__}: {error}",
                    "retryable": True,
                }
                self._jobs.fail(self._job_id, reason)


def describe_failure(event: dg.DagsterEvent) -> dict[str, Any]:
    """A step's failure as the job's error: code, subject, reason, remedy, retryable, stage."""
    data = event.step_failure_data
    found: dict[str, Any] = {"stage": asset_of(event.step_key or "")}
    user = data.user_failure_data
    if user is not None:
        found |= {name: value.value for name, value in user.metadata.items()}
    if "reason" not in found:
        cause = data.error
        while cause is not None and cause.cause is not None:
            cause = cause.cause
        found |= {"code": "step.failed", "reason": (cause.message.strip() if cause else "no reason given")}
    return found
