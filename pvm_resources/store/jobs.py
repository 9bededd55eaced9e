"""Jobs: one partition of the graph each, from queued to completed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pvm_core.errors import InputError, PvmError
from pvm_core.rules import Rules
from pvm_jobs import job_ids
from pvm_jobs.events import Event
from pvm_jobs.phases import derive_phase
from pvm_resources.postgres.driver import Statement, Write
from pvm_resources.store.base import Repository, clean, json
from pvm_resources.store.records import Job, JobCounts, JobStatus

_COLUMNS = (
    "job_id, industry, partition_key, request, phase, status, run_id, error, keys, embed_model, "
    "created_at, started_at, finished_at, rules"
)
_COUNTS = """
SELECT (SELECT count(*) FROM job_products WHERE job_id = %(job)s) AS products,
       (SELECT count(*) FROM job_images WHERE job_id = %(job)s) AS images,
       (SELECT count(DISTINCT video_id) FROM job_videos WHERE job_id = %(job)s) AS videos,
       (SELECT count(*) FROM job_items WHERE job_id = %(job)s AND kind = 'frame') AS frames,
       (SELECT count(*) FROM candidate_pairs WHERE job_id = %(job)s) AS candidates,
       (SELECT count(*) FROM pair_scores WHERE job_id = %(job)s) AS scores,
       count(*) FILTER (WHERE status = 'accepted') AS accepted,
       count(*) FILTER (WHERE status = 'review') AS review,
       count(*) FILTER (WHERE status = 'rejected') AS rejected,
       (SELECT count(*) FROM problems WHERE job_id = %(job)s) AS problems
FROM matches WHERE job_id = %(job)s
"""


class Jobs(Repository):
    """Table `jobs` and its life cycle."""

    def create(self, industry: str, request: Mapping[str, Any], job_id: str | None = None) -> Job:
        """Queues a job.

        Args:
            industry: slug of an existing industry.
            request: what was asked for, JSON-able.
            job_id: default a new one; where it exists already, that job is returned as it is.
        """
        job = job_id or job_ids.job_id()
        self._db.commit(
            Statement(
                "INSERT INTO jobs (job_id, industry, partition_key, request) VALUES (%s, %s, %s, %s) "
                "ON CONFLICT (job_id) DO NOTHING",
                [job, industry, job_ids.partition_key(industry, job), json(dict(request))],
            )
        )
        return self.get(job)

    def get(self, job_id: str) -> Job:
        """The job.

        Raises:
            InputError: ``job.unknown``.
        """
        found = self._db.one(Job, f"SELECT {_COLUMNS} FROM jobs WHERE job_id = %s", [job_id])
        if found is None:
            raise InputError("job.unknown", job_id, "no such job", "See `pvm status`")
        return found

    def find(self, job_id: str) -> Job | None:
        """The job; None where there is none."""
        return self._db.one(Job, f"SELECT {_COLUMNS} FROM jobs WHERE job_id = %s", [job_id])

    def by_partition(self, partition_key: str) -> Job | None:
        """The job of a Dagster partition; None for a key added by hand."""
        return self._db.one(Job, f"SELECT {_COLUMNS} FROM jobs WHERE partition_key = %s", [partition_key])

    def by_run(self, run_id: str) -> list[Job]:
        """Jobs whose latest run that is."""
        return self._db.all(Job, f"SELECT {_COLUMNS} FROM jobs WHERE run_id = %s", [run_id])

    def list(
        self, industry: str | None = None, statuses: Sequence[JobStatus] = (), limit: int = 100
    ) -> list[Job]:
        """Newest first; of one industry (slug) and with some statuses where given."""
        return self._db.all(
            Job,
            f"SELECT {_COLUMNS} FROM jobs WHERE (%(industry)s::text IS NULL OR industry = %(industry)s) "
            "AND (cardinality(%(statuses)s::text[]) = 0 OR status = ANY(%(statuses)s)) "
            "ORDER BY created_at DESC, job_id DESC LIMIT %(limit)s",
            {"industry": industry, "statuses": list(statuses), "limit": limit},
        )

    def latest(self, industry: str, status: JobStatus = "completed") -> Job | None:
        """The industry's job that reached `status` last."""
        return self._db.one(
            Job,
            f"SELECT {_COLUMNS} FROM jobs WHERE industry = %s AND status = %s "
            "ORDER BY coalesce(finished_at, created_at) DESC, job_id DESC LIMIT 1",
            [industry, status],
        )

    def counts(self, job_id: str) -> JobCounts:
        """What the job holds so far."""
        found = self._db.one(JobCounts, _COUNTS, {"job": job_id})
        assert found is not None
        return found

    def set_running(self, job_id: str, run_id: str) -> None:
        """A run works on it: first start, retry, or a rerun of a finished job. Takes back what an earlier
        run ended with; the phase follows from the events that exist."""
        with self._db.transaction() as cursor:
            cursor.execute("SELECT 1 FROM jobs WHERE job_id = %s FOR UPDATE", [job_id])
            names = {
                r[0] for r in cursor.execute("SELECT name FROM phase_events WHERE job_id = %s", [job_id])
            }
            cursor.execute(
                "UPDATE jobs SET status = 'running', phase = %s, run_id = %s, error = NULL, "
                "finished_at = NULL, started_at = coalesce(started_at, now()) WHERE job_id = %s",
                [derive_phase(names), run_id, job_id],
            )
            if cursor.rowcount != 1:
                raise InputError("job.unknown", job_id, "no such job", "See `pvm status`")

    def set_keys(self, job_id: str, *, embed_model: str | None = None, **keys: str) -> None:
        """Names the parameters the job is computed under; others keep their value. `keyframes` decides
        which frames are the job's."""
        self._db.commit(
            Statement(
                "UPDATE jobs SET keys = keys || %s, embed_model = coalesce(%s, embed_model) "
                "WHERE job_id = %s",
                [json(keys), embed_model, job_id],
            )
        )

    def set_rules(self, job_id: str, rules: Rules) -> None:
        """Stores the rules the job's matches are decided under: whole, so that an old decision can be
        explained, and their key."""
        self._db.commit(
            Statement(
                "UPDATE jobs SET rules = %s, keys = keys || %s WHERE job_id = %s",
                [json(asdict(rules)), json({"rules": rules.key}), job_id],
            )
        )

    def complete(self, job_id: str, *, events: Iterable[Event] = (), also: Sequence[Write] = ()) -> bool:
        """The run ended well; writes `job.completed`. False where the job was cancelled meanwhile."""
        return self._end(job_id, "completed", None, events, also)

    def fail(
        self, job_id: str, error: BaseException | Mapping[str, Any], *, events: Iterable[Event] = ()
    ) -> bool:
        """The run failed; writes `job.failed`. False where the job had ended already."""
        return self._end(job_id, "failed", _error(error), events, ())

    def cancel(self, job_id: str, *, events: Iterable[Event] = ()) -> bool:
        """Somebody stopped it; writes `job.cancelled`. False where the job had ended already."""
        return self._end(job_id, "cancelled", None, events, ())

    def delete(self, job_id: str) -> bool:
        """Removes the job and everything that belongs to it alone; stored pictures and features stay."""
        return self._db.commit(Statement("DELETE FROM jobs WHERE job_id = %s", [job_id])) == [1]

    def _end(
        self,
        job_id: str,
        status: JobStatus,
        error: dict[str, Any] | None,
        events: Iterable[Event],
        also: Sequence[Write],
    ) -> bool:
        with self._db.transaction() as cursor:
            for write in also:
                self._db.write(cursor, write)
            # The events first: the phase of a job that has ended does not move any more.
            self._db.emit(cursor, events)
            cursor.execute(
                "UPDATE jobs SET status = %(status)s, phase = %(status)s, error = %(error)s, "
                "finished_at = now() "
                "WHERE job_id = %(job)s AND status IN ('queued', 'running')",
                {"status": status, "error": json(error) if error else None, "job": job_id},
            )
            ended = cursor.rowcount == 1
            if ended:
                payload = {"error": error} if error else {}
                self._db.emit(cursor, [Event(job_id, f"job.{status}", payload=payload)])
        return ended


def _error(error: BaseException | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(error, PvmError):
        return {
            "code": error.code,
            "subject": clean(error.subject),
            "reason": clean(error.reason),
            "remedy": clean(error.remedy),
            "retryable": error.retryable,
        }
    if isinstance(error, BaseException):
        return {"code": "internal", "reason": clean(f"{type(error).__name__}: {error}"), "retryable": False}
    return dict(error)
