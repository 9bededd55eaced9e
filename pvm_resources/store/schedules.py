"""Industries that are run again on a cadence, and what needs attention."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pvm_core.errors import InputError
from pvm_core.ids import ROOT
from pvm_jobs.lifecycle import ENDED
from pvm_resources.store.base import Repository

#: The longest time between two runs of an industry, hours: a year.
EVERY_MAX_H: Final = 8_760

_DUE: Final = """
SELECT i.slug, last.job_id AS last_job FROM industries i
LEFT JOIN LATERAL (SELECT job_id, status, created_at FROM jobs j WHERE j.industry = i.slug
                   ORDER BY created_at DESC, job_id DESC LIMIT 1) last ON true
WHERE i.every_hours IS NOT NULL AND i.sources <> '{}'
  AND (last.job_id IS NULL OR (last.created_at <= now() - make_interval(hours => i.every_hours)
                               AND last.status NOT IN ('queued', 'running')))
ORDER BY i.slug
"""


@dataclass(frozen=True)
class Due:
    """An industry whose standing sources are to be run; `last_job` was its latest job."""

    slug: str
    last_job: str | None

    @property
    def event_id(self) -> uuid.UUID:
        """The order's id: the same until a newer job exists, so that it is given once."""
        return uuid.uuid5(ROOT, f"standing|{self.slug}|{self.last_job or ''}")


@dataclass(frozen=True)
class FailedJob:
    """A job that failed and was not retried, archived or deleted."""

    job_id: str
    industry: str
    partition_key: str
    code: str
    finished_at: datetime


@dataclass(frozen=True)
class Undelivered:
    """Events that one endpoint does not get: given up (`dead`), or waiting longer than given (`late`)."""

    endpoint: str
    dead: int
    late: int


class Schedules(Repository):
    """Column `industries.every_hours`, and what went wrong."""

    def due(self) -> list[Due]:
        """Industries with standing sources whose latest job is older than they ask for, and has ended."""
        return self._db.all(Due, _DUE)

    def every(self, slug: str) -> int | None:
        """Hours after which the industry is run again; None: not by itself."""
        found = self._db.value("SELECT every_hours FROM industries WHERE slug = %s", [slug])
        return None if found is None else int(found)

    def set_every(self, slug: str, hours: int | None) -> None:
        """Has the industry's standing sources run every that many hours; None: no more.

        Raises:
            InputError: ``industry.every``, ``industry.unknown``.
        """
        if hours is not None and not 1 <= hours <= EVERY_MAX_H:
            reason = f"{hours} lies outside 1 to {EVERY_MAX_H:,}"
            raise InputError("industry.every", "every_hours", reason, "Give whole hours")
        query = "UPDATE industries SET every_hours = %s, updated_at = now() WHERE slug = %s"
        if not self._execute(query, hours, slug):
            raise InputError("industry.unknown", slug, "no such industry", "See the list of industries")

    def last_completed(self) -> dict[str, str]:
        """Industry -> its job that completed last; industries without one are left out."""
        query = (
            "SELECT DISTINCT ON (industry) industry, job_id FROM jobs WHERE status = 'completed' "
            "ORDER BY industry, finished_at DESC, job_id DESC"
        )
        return dict(self._db.tuples(query))

    def old_partitions(self, keep: int) -> list[str]:
        """Partition keys of archived jobs, and of ended jobs but the `keep` that ended last; oldest first."""
        query = (
            "SELECT partition_key FROM (SELECT partition_key, archived_at, finished_at, created_at, "
            "row_number() OVER (ORDER BY coalesce(finished_at, created_at) DESC, job_id) AS place "
            "FROM jobs WHERE status = ANY(%s)) ended WHERE archived_at IS NOT NULL OR place > %s "
            "ORDER BY coalesce(finished_at, created_at)"
        )
        return [key for (key,) in self._db.tuples(query, [list(ENDED), keep])]

    def failed(self, limit: int = 100) -> list[FailedJob]:
        """Jobs that failed and need attention, newest first."""
        return self._db.all(
            FailedJob,
            "SELECT job_id, industry, partition_key, coalesce(error ->> 'code', '') AS code, finished_at "
            "FROM jobs WHERE status = 'failed' AND archived_at IS NULL "
            "ORDER BY finished_at DESC, job_id LIMIT %s",
            [limit],
        )

    def undelivered(self, older_than_s: float) -> list[Undelivered]:
        """Endpoints that events do not reach: given up within a week, or late by that many seconds."""
        return self._db.all(
            Undelivered,
            "SELECT e.name AS endpoint, count(*) FILTER (WHERE d.dead_at IS NOT NULL) AS dead, "
            "count(*) FILTER (WHERE d.dead_at IS NULL) AS late "
            "FROM deliveries d JOIN endpoints e USING (endpoint_id) WHERE d.delivered_at IS NULL "
            "AND (d.dead_at > now() - interval '7 days' "
            "OR d.dead_at IS NULL AND e.enabled AND d.created_at < now() - make_interval(secs => %s)) "
            "GROUP BY e.endpoint_id, e.name ORDER BY e.name",
            [older_than_s],
        )
