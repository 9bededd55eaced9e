"""Figures of jobs, stages and deliveries, for a monitor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pvm_resources.store.base import Repository

_WORK: Final = """
SELECT s.asset, sum((s.metadata->>'computed')::float8) AS items,
       sum((s.metadata->>'seconds')::float8) AS seconds
FROM asset_states s JOIN jobs j USING (job_id)
WHERE j.finished_at > now() - interval '1 day' AND (s.metadata->>'seconds')::float8 > 0
  AND s.metadata->>'computed' IS NOT NULL
GROUP BY s.asset ORDER BY s.asset
"""
_OVERDUE: Final = """
SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM deliveries
WHERE delivered_at IS NULL AND dead_at IS NULL
"""


@dataclass(frozen=True)
class AssetWork:
    """What an asset computed in the jobs that ended within a day: items that it did not find done, and the
    seconds they took."""

    asset: str
    items: float
    seconds: float


class ServiceFigures(Repository):
    """Reads `jobs`, `asset_states` and `deliveries`; writes nothing."""

    def failed_partitions(self) -> dict[str, int]:
        """Code of the failure -> partitions (jobs) that failed with it and need attention."""
        rows = self._db.tuples(
            "SELECT coalesce(error ->> 'code', ''), count(*) FROM jobs "
            "WHERE status = 'failed' AND archived_at IS NULL GROUP BY 1 ORDER BY 1"
        )
        return {str(code): int(count) for code, count in rows}

    def work(self) -> list[AssetWork]:
        """By asset."""
        return self._db.all(AssetWork, _WORK)

    def dead_deliveries(self) -> int:
        """Deliveries that failed for good."""
        return int(self._db.value("SELECT count(*) FROM deliveries WHERE dead_at IS NOT NULL"))

    def oldest_delivery_s(self) -> float:
        """Seconds that the oldest open delivery waits, 0 where none does."""
        return float(self._db.value(_OVERDUE))
