"""Every statement that changes a job's row: made, moved through its life cycle, archived, deleted.

They work on the cursor of a transaction, so that a change and what reports or orders it are one. An event is
written with the data it reports, and a `.completed` event moves its job's phase.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from psycopg.types.json import Jsonb

from pvm_core.errors import InputError, public_dict
from pvm_jobs import job_ids
from pvm_jobs.events import PER_JOB, Event
from pvm_jobs.lifecycle import ENDED, JobStatus, may_become, phase_of

if TYPE_CHECKING:
    import psycopg

    Cursor: TypeAlias = psycopg.Cursor[tuple[Any, ...]]

#: A job's stages have yet to begin; what was done of each stays as its share.
NEW_RUN: Final = "UPDATE progress SET began_at = NULL, done = 0, total = NULL, reused = 0 WHERE job_id = %s"
_OUTBOX: Final = """
INSERT INTO outbox (event_id, job_id, name, item, payload)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::jsonb[])
ON CONFLICT (job_id, name, item) DO NOTHING
"""
_PHASE_EVENTS: Final = """
INSERT INTO phase_events (event_id, job_id, name)
SELECT event_id, job_id, name FROM outbox WHERE event_id = ANY(%s) ORDER BY seq
ON CONFLICT DO NOTHING
"""
#: A retry takes a job out of the archive; a run that starts leaves the time of the first start.
_MOVE: Final = """
UPDATE jobs SET status = %(status)s, phase = %(phase)s, error = %(error)s, run_id = coalesce(%(run)s, run_id),
    started_at = CASE WHEN %(status)s = 'running' THEN coalesce(started_at, now()) ELSE started_at END,
    finished_at = CASE WHEN %(ended)s THEN now() END,
    archived_at = CASE WHEN %(status)s = 'queued' THEN NULL ELSE archived_at END
WHERE job_id = %(job)s
"""


@dataclass(frozen=True)
class LockedJob:
    """A job whose row is locked until the transaction ends."""

    job_id: str
    status: JobStatus
    partition_key: str
    run_id: str | None

    @property
    def ended(self) -> bool:
        """Nothing works on it, and nothing waits to."""
        return self.status in ENDED

    def require_ended(self, remedy: str) -> None:
        """Raises InputError ``job.open`` where it has not ended."""
        if not self.ended:
            raise InputError("job.open", self.job_id, f"it is {self.status}", remedy)

    def order(self) -> dict[str, Any]:
        """What an order about it needs to know, also once its row is gone."""
        return {"job_id": self.job_id, "partition_key": self.partition_key, "run_id": self.run_id}


def insert(cursor: Cursor, job_id: str, industry: str, request: Mapping[str, Any]) -> bool:
    """Makes a queued job; False where the id is taken."""
    values = [job_id, industry, job_ids.partition_key(industry, job_id), Jsonb(dict(request))]
    cursor.execute(
        "INSERT INTO jobs (job_id, industry, partition_key, request) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (job_id) DO NOTHING",
        values,
    )
    return cursor.rowcount == 1


def lock(cursor: Cursor, job_id: str) -> LockedJob:
    """The job, unchanged by others until the transaction ends.

    Raises:
        InputError: ``job.unknown``.
    """
    row = cursor.execute(
        "SELECT job_id, status, partition_key, run_id FROM jobs WHERE job_id = %s FOR UPDATE", [job_id]
    ).fetchone()
    if row is None:
        raise InputError("job.unknown", job_id, "no such job", "See the list of jobs (pvm status)")
    return LockedJob(*row)


def move(
    cursor: Cursor,
    job: LockedJob,
    status: JobStatus,
    *,
    run_id: str | None = None,
    error: Mapping[str, Any] | None = None,
) -> bool:
    """Changes the job's status, and its phase with it; False where the life cycle does not allow it.

    The end of a job is reported by its event.
    """
    if not may_become(job.status, status):
        return False
    values = {
        "job": job.job_id,
        "status": status,
        "phase": phase_of(status, _phase_events(cursor, job.job_id)),
        "error": Jsonb(dict(error)) if error else None,
        "run": run_id,
        "ended": status in ENDED,
    }
    cursor.execute(_MOVE, values)
    if status in ENDED:
        # Events go to whoever listens; the row keeps what the operator needs.
        told = {"error": public_dict(error)} if error else {}
        emit(cursor, [Event(job.job_id, f"job.{status}", payload=told)])
    return True


def set_keys(cursor: Cursor, job_id: str, keys: Mapping[str, str], embed_model: str | None) -> None:
    """Names the parameters the job is computed under; others keep their value."""
    cursor.execute(
        "UPDATE jobs SET keys = keys || %s, embed_model = coalesce(%s, embed_model) WHERE job_id = %s",
        [Jsonb(keys), embed_model, job_id],
    )


def set_rules(cursor: Cursor, job_id: str, rules: Mapping[str, Any], key: str) -> None:
    """Stores the rules the job's matches are decided under, and their key."""
    cursor.execute(
        "UPDATE jobs SET rules = %s, keys = keys || %s WHERE job_id = %s",
        [Jsonb(dict(rules)), Jsonb({"rules": key}), job_id],
    )


def archive(cursor: Cursor, job_id: str) -> None:
    """Takes the job out of lists; the first time counts."""
    cursor.execute("UPDATE jobs SET archived_at = coalesce(archived_at, now()) WHERE job_id = %s", [job_id])


def delete(cursor: Cursor, job_id: str) -> None:
    """Removes the job and everything that belongs to it alone; stored pictures and features stay."""
    cursor.execute("DELETE FROM jobs WHERE job_id = %s", [job_id])


def outbox_write(events: Iterable[Event]) -> Callable[[Cursor], int]:
    """The write that emits `events` within a commit."""
    return lambda cursor: emit(cursor, list(events))


def emit(cursor: Cursor, events: Sequence[Event]) -> int:
    """Puts events into the outbox; returns how many are new. `.completed` ones move their job's phase.

    An event that exists already (same job, name and item) is left as it is, so its id is minted once.
    """
    if not events:
        return 0
    # Without the row lock two stages of one job ending at once would each miss the other's event, and an
    # event could become visible after a later one of its job, which delivery in order of `seq` rests on.
    # Rows that refer to the job are written meanwhile: they take FOR KEY SHARE, which this lock lets pass.
    cursor.execute(
        "SELECT 1 FROM jobs WHERE job_id = ANY(%s) ORDER BY job_id FOR NO KEY UPDATE",
        [sorted({event.job_id for event in events})],
    )
    # Arrays, not COPY: most commits carry few events, and a staging table costs more than their rows.
    columns = [(e.event_id, e.job_id, e.name, e.item, Jsonb(e.payload)) for e in events]
    new = cursor.execute(_OUTBOX, [list(column) for column in zip(*columns, strict=True)]).rowcount
    ends = [event for event in events if event.name in PER_JOB]
    if not ends:
        return new
    cursor.execute(_PHASE_EVENTS, [[event.event_id for event in ends]])
    for job_id in sorted({event.job_id for event in ends}):
        phase = phase_of("running", _phase_events(cursor, job_id))
        cursor.execute(
            "UPDATE jobs SET phase = %(phase)s WHERE job_id = %(job)s AND phase <> %(phase)s "
            "AND status <> ALL(%(ended)s)",
            {"phase": phase, "job": job_id, "ended": list(ENDED)},
        )
    return new


def _phase_events(cursor: Cursor, job_id: str) -> set[str]:
    return {row[0] for row in cursor.execute("SELECT name FROM phase_events WHERE job_id = %s", [job_id])}
