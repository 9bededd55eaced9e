"""The inbox to runs: every request is turned into one run, or refused with its reason.

A request is claimed by its status, never by a cursor, so that none is lost while the daemon is down. The run
carries the request's id as its key: handed out twice, it is launched once.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import dagster as dg

from pvm_assets.execution.run_termination import end_runs, forget_partition, runs_by_request
from pvm_assets.jobs import JOB_NAME
from pvm_assets.partitions import JOB_PARTITIONS
from pvm_assets.run_tags import EVENT_TAG, INDUSTRY_TAG, JOB_TAG
from pvm_core.errors import InputError, PvmError, StoreError
from pvm_jobs.events import COLLECT, MATCH, SEARCH
from pvm_jobs.job_ids import is_plain_id
from pvm_jobs.lifecycle import ENDED
from pvm_jobs.request import JobRequest
from pvm_resources.dagster_logs import quiet_console
from pvm_resources.settings import Settings, load_settings
from pvm_resources.sources.admission import Places, complete_request
from pvm_resources.store.assembly import Store
from pvm_resources.store.inbox import (
    ATTEMPTS_MAX,
    CANCEL,
    FORGET,
    InboxListener,
    InboxRow,
)
from pvm_resources.store.records import Job
from sensors.open_store import open_store

#: The daemon evaluates sensors every 5 s; a tick that waits most of that time starts requests at once.
_WAIT_S: Final = 4.0
#: Orders come before starts: a job cancelled or deleted in the same moment is not started.
_ORDERS: Final = (CANCEL, FORGET)


@dg.sensor(
    job_name=JOB_NAME,
    name="inbox",
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests of the API and the bus become runs: one partition and one run each.",
)
def inbox(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """One tick; waits a moment for new requests where there are none."""
    with open_store() as store:
        try:
            requests = InboxProcessor(context.instance, store, load_settings(), context.log).process(_WAIT_S)
        except StoreError as error:
            # What was claimed is handed out again later.
            return dg.SkipReason(str(error))
    if not requests:
        return dg.SkipReason("nothing to start")
    keys = list(dict.fromkeys(str(request.partition_key) for request in requests))
    return dg.SensorResult(
        run_requests=requests, dynamic_partitions_requests=[JOB_PARTITIONS.build_add_request(keys)]
    )


class InboxProcessor:
    """Turns requests of the inbox into run requests, and carries out orders.

    Args:
        instance: where runs and partitions are.
        log: gets what was refused, and why.
    """

    def __init__(self, instance: dg.DagsterInstance, store: Store, settings: Settings, log: Any) -> None:
        self._instance = instance
        self._settings = settings
        self._log = log
        self._store = store
        self._inbox = store.inbox

    def process(self, wait_s: float) -> list[dg.RunRequest]:
        """Claims what is there, or what comes within `wait_s` seconds; returns the runs to launch.

        Raises:
            StoreError: the database is out of reach.
        """
        self.reconcile()
        with InboxListener(self._inbox.dsn) as listener:
            rows = self._inbox.claim()
            if not rows and wait_s > 0 and listener.wait(wait_s):
                rows = self._inbox.claim()
        found = (self._answer(row) for row in sorted(rows, key=lambda row: row.topic not in _ORDERS))
        return [request for request in found if request is not None]

    def reconcile(self) -> None:
        """Requests whose run exists are started; those whose job has ended are done."""
        waiting = self._inbox.rows("claimed")
        if waiting:
            self._inbox.started(runs_by_request(self._instance, [row.event_id for row in waiting]))
        self._inbox.settle()

    def _answer(self, row: InboxRow) -> dg.RunRequest | None:
        """A request's run; None where it needs none, or where it is refused: others go on."""
        try:
            if row.attempts > ATTEMPTS_MAX:
                raise InputError(
                    "inbox.attempts", row.topic, f"it was tried {ATTEMPTS_MAX} times", "See the daemon's log"
                )
            if row.topic in _ORDERS:
                self._carry_out(row)
                return None
            job = self._job_of(row)
        except PvmError as error:
            if error.retryable:
                raise
            self._log.warning(f"request {row.event_id} ({row.topic}) is refused: {error}")
            self._inbox.reject(row.event_id, error.to_dict())
            return None
        if job is None:
            self._inbox.done([row.event_id])
            return None
        return _run_of(job, row, self._settings.log_format)

    # -- starts ------------------------------------------------------------------------------------

    def _job_of(self, row: InboxRow) -> Job | None:
        """The job to run; None where another request starts it, or it is no longer queued."""
        if row.topic in (COLLECT, SEARCH):
            return self._paired(row)
        if row.topic == MATCH:
            return self._rematch(row)
        if row.job_id is None:
            raise InputError("inbox.job", row.topic, "it names no job", "Name the job in job_id")
        job = self._store.jobs.find(row.job_id)
        return job if job is not None and job.status == "queued" else None

    def _paired(self, row: InboxRow) -> Job | None:
        """Both halves of a request of the bus make one job; the one that came first starts it."""
        job_id = _job_id(row.payload)
        halves = self._inbox.halves(job_id)
        lead = min(halves.values(), key=lambda half: (half.received_at, half.event_id), default=row)
        if lead.event_id != row.event_id:
            if lead.status != "claimed":
                raise InputError(
                    "inbox.late", job_id, "the job was started without it", "Send both requests within 10 s"
                )
            return None
        payload: dict[str, Any] = {}
        for half in (halves.get(SEARCH), halves.get(COLLECT)):
            payload |= {} if half is None else half.payload
        industry = payload.get("industry")
        if not isinstance(industry, str):
            raise InputError("industry.name", "industry", "it is missing", "Name the industry")
        request = Places.of(self._settings).admit(JobRequest.parse(payload))
        kept = self._store.industries.ensure(industry)
        complete = complete_request(request, kept, self._settings)
        self._inbox.adopt(kept.slug, complete.to_json(), job_id, [h.event_id for h in halves.values()])
        job = self._store.jobs.get(job_id)
        return job if job.status == "queued" else None

    def _rematch(self, row: InboxRow) -> Job | None:
        """A job to be matched, or matched again."""
        job = self._store.jobs.get(_job_id(row.payload))
        self._inbox.of_job([row.event_id], job.job_id)
        if job.status in ENDED:
            self._inbox.retry(job.job_id, row.source)
        # The order that `retry` wrote starts it.
        return None

    # -- orders ------------------------------------------------------------------------------------

    def _carry_out(self, row: InboxRow) -> None:
        """Ends the job's runs, and takes its partition out of Dagster once none is alive. An order that has
        to wait stays claimed and is processed again later."""
        key = str(row.payload.get("partition_key") or "")
        later = {str(event) for event in self._inbox.later_starts(row)}
        alive = end_runs(self._instance, key, spare=later) if row.topic == CANCEL else ()
        if alive:
            self._log.info(f"{len(alive)} runs of {key} are being ended")
            return
        job = self._store.jobs.find(row.job_id) if row.job_id else None
        if job is not None and job.status == "running" and row.topic == CANCEL and not later:
            # Its worker died before it could say so.
            self._store.jobs.cancel(job.job_id)
        if later or forget_partition(self._instance, key):
            self._inbox.done([row.event_id])


def _run_of(job: Job, row: InboxRow, log_format: Literal["plain", "json"]) -> dg.RunRequest:
    key = str(row.event_id)
    tags = {JOB_TAG: job.job_id, INDUSTRY_TAG: job.industry, EVENT_TAG: key}
    config = quiet_console(log_format)
    return dg.RunRequest(run_key=key, partition_key=job.partition_key, tags=tags, run_config=config)


def _job_id(payload: dict[str, Any]) -> str:
    found = payload.get("job_id")
    if not isinstance(found, str) or not is_plain_id(found):
        raise InputError(
            "inbox.job", "job_id", "it is missing or no id of a job", "Use letters, digits, - and _"
        )
    return found
