"""Figures of Dagster's runs and pools, read from its tables (Dagster 1.13): neither its daemon nor its web
server has metrics, and what a run itself would report is lost with a run that crashes or never starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pvm_resources.postgres.driver import Database

#: Statuses of a run that has not ended (`dagster.DagsterRunStatus`).
OPEN: Final = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")
_ENDED: Final = ("SUCCESS", "FAILURE", "CANCELED")
#: Ages by which open runs are counted: name, and the seconds up to which it goes.
AGES: Final = (("1m", 60.0), ("10m", 600.0), ("1h", 3_600.0), ("1d", 86_400.0), ("older", float("inf")))
QUANTILES: Final = (0.5, 0.95, 1.0)
_MADE: Final = "SELECT to_regclass('runs') IS NOT NULL AND to_regclass('concurrency_slots') IS NOT NULL"
_COUNTS: Final = "SELECT status, count(*) FROM runs GROUP BY status"
# Dagster stores times of creation without a zone, in UTC, and starts as seconds since the epoch.
_AGES: Final = """
SELECT status, extract(epoch FROM now())::float8 -
       coalesce(start_time, extract(epoch FROM create_timestamp AT TIME ZONE 'UTC'))::float8
FROM runs WHERE status = ANY(%s)
"""
_WAITS: Final = """
SELECT percentile_disc(%s::float8[]) WITHIN GROUP (ORDER BY greatest(0, start_time -
       extract(epoch FROM create_timestamp AT TIME ZONE 'UTC')::float8))
FROM runs WHERE start_time > extract(epoch FROM now()) - 86400
"""
_DEQUEUED: Final = """
SELECT extract(epoch FROM timestamp AT TIME ZONE 'UTC')::float8 FROM event_logs
WHERE dagster_event_type = 'PIPELINE_DEQUEUED' ORDER BY id DESC LIMIT 1
"""
_POOLS: Final = """
SELECT s.concurrency_key, count(*) FILTER (WHERE s.run_id IS NULL),
       count(*) FILTER (WHERE s.run_id IS NOT NULL AND r.status <> ALL(%(ended)s)),
       count(*) FILTER (WHERE s.run_id IS NOT NULL AND (r.status IS NULL OR r.status = ANY(%(ended)s)))
FROM concurrency_slots s LEFT JOIN runs r USING (run_id) WHERE NOT s.deleted GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True)
class PoolSlots:
    """Slots of a pool: free, held by runs that have not ended, held by runs that have ended or are gone."""

    pool: str
    free: int
    used: int
    held_by_ended: int


@dataclass(frozen=True)
class OpenRuns:
    """Runs of one status that have not ended.

    Attributes:
        ages: their number by the name of an age in `AGES`.
        oldest_s: seconds since the oldest started, or was made where it has not started.
    """

    status: str
    ages: dict[str, int]
    oldest_s: float


class DagsterFigures:
    """Reads the tables of one Dagster instance; writes nothing.

    Args:
        database: Dagster's.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    def made(self) -> bool:
        """Whether Dagster has made its tables yet."""
        return bool(self._db.value(_MADE))

    def runs(self) -> dict[str, int]:
        """Status -> all runs that have it."""
        return {str(status): int(count) for status, count in self._db.tuples(_COUNTS)}

    def open_runs(self) -> list[OpenRuns]:
        """Runs that have not ended, for each status of `OPEN`."""
        found: dict[str, list[float]] = {status: [] for status in OPEN}
        for status, age in self._db.tuples(_AGES, [list(OPEN)]):
            found[status].append(max(0.0, float(age)))
        return [
            OpenRuns(status, _by_age(ages), max(ages, default=0.0)) for status, ages in found.items()
        ]  # fmt: skip

    def queue_waits(self) -> dict[float, float]:
        """Quantile -> seconds from a run's making to its start, of the runs that started within a day."""
        found = self._db.value(_WAITS, [list(QUANTILES)])
        return dict(zip(QUANTILES, map(float, found), strict=True)) if found else {}

    def last_dequeue(self) -> float:
        """When a run last left the queue, seconds since the epoch; 0 where none ever did."""
        return float(self._db.value(_DEQUEUED) or 0)

    def pools(self) -> list[PoolSlots]:
        """Slots of every pool that has a limit."""
        return [PoolSlots(*row) for row in self._db.tuples(_POOLS, {"ended": list(_ENDED)})]


def _by_age(ages: list[float]) -> dict[str, int]:
    left = sorted(ages)
    found = {}
    for name, until in AGES:
        found[name] = sum(age < until for age in left)
        left = left[found[name] :]
    return found
