"""Jobs: read, and moved through their life cycle by their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pvm_core.errors import InputError, error_to_dict
from pvm_core.rules import Rules
from pvm_jobs import job_ids
from pvm_jobs.lifecycle import JobStatus
from pvm_resources.store import job_changes
from pvm_resources.store.base import Repository, clean, listed
from pvm_resources.store.labels import EFFECTIVE, JOIN
from pvm_resources.store.records import Job, JobCounts

_COLUMNS = listed(Job)
_COUNTS = f"""
SELECT (SELECT count(*) FROM job_products WHERE job_id = %(job)s) AS products,
       (SELECT count(*) FROM job_images WHERE job_id = %(job)s) AS images,
       (SELECT count(DISTINCT video_id) FROM job_videos WHERE job_id = %(job)s) AS videos,
       (SELECT count(*) FROM job_items WHERE job_id = %(job)s AND kind = 'frame') AS frames,
       (SELECT count(*) FROM candidate_pairs WHERE job_id = %(job)s) AS candidates,
       (SELECT count(*) FROM pair_scores WHERE job_id = %(job)s) AS scores,
       count(*) FILTER (WHERE {EFFECTIVE} = 'accepted') AS accepted,
       count(*) FILTER (WHERE {EFFECTIVE} = 'review') AS review,
       count(*) FILTER (WHERE {EFFECTIVE} = 'rejected') AS rejected,
       (SELECT count(*) FROM problems WHERE job_id = %(job)s) AS problems
FROM matches m JOIN jobs j USING (job_id) {JOIN} WHERE m.job_id = %(job)s
"""


class Jobs(Repository):
    """Table `jobs` and its life cycle."""

    def create(self, industry: str, request: Mapping[str, Any], job_id: str | None = None) -> Job:
        """Queues a job.

        Args:
            industry: slug of an existing industry.
            request: `JobRequest.to_json`.
            job_id: default a new one; where it exists already, that job is returned as it is.
        """
        job = job_id or job_ids.job_id()
        with self._db.transaction() as cursor:
            job_changes.insert(cursor, job, industry, request)
        return self.get(job)

    def get(self, job_id: str) -> Job:
        """The job.

        Raises:
            InputError: ``job.unknown``.
        """
        found = self.find(job_id)
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
        run ended with; the phase follows from the events that exist.

        Raises:
            InputError: ``job.unknown``.
        """
        with self._db.transaction() as cursor:
            job_changes.move(cursor, job_changes.lock(cursor, job_id), "running", run_id=run_id)

    def set_keys(self, job_id: str, *, embed_model: str | None = None, **keys: str) -> None:
        """Names the parameters the job is computed under; others keep their value. `keyframes` decides
        which frames are the job's."""
        with self._db.transaction() as cursor:
            job_changes.set_keys(cursor, job_id, keys, embed_model)

    def set_rules(self, job_id: str, rules: Rules) -> None:
        """Stores the rules the job's matches are decided under: whole, so that an old decision can be
        explained, and their key."""
        with self._db.transaction() as cursor:
            job_changes.set_rules(cursor, job_id, asdict(rules), rules.key)

    def complete(self, job_id: str) -> bool:
        """The run ended well; writes `job.completed`. False where the job was cancelled meanwhile."""
        return self._end(job_id, "completed")

    def fail(self, job_id: str, error: BaseException | Mapping[str, Any]) -> bool:
        """The run failed; writes `job.failed`. False where the job had ended already."""
        return self._end(job_id, "failed", _error(error))

    def cancel(self, job_id: str) -> bool:
        """The run was cancelled; writes `job.cancelled`. False where the job had ended already."""
        return self._end(job_id, "cancelled")

    def _end(self, job_id: str, status: JobStatus, error: Mapping[str, Any] | None = None) -> bool:
        with self._db.transaction() as cursor:
            try:
                job = job_changes.lock(cursor, job_id)
            except InputError:
                # Deleted while its run was on.
                return False
            return job_changes.move(cursor, job, status, error=error)


def _error(error: BaseException | Mapping[str, Any]) -> dict[str, Any]:
    found = error_to_dict(error) if isinstance(error, BaseException) else error
    return {name: clean(value) if isinstance(value, str) else value for name, value in found.items()}
