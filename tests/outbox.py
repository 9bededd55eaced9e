"""The outbox as tests read it."""

from __future__ import annotations

from pvm_resources.store.base import Repository
from pvm_resources.store.records import OutboxEvent

_COLUMNS = "seq, event_id, job_id, name, item, payload, created_at"


class Outbox(Repository):
    """Tables `outbox` and `phase_events`."""

    def events(self, job_id: str, after: int = 0, limit: int = 1_000) -> list[OutboxEvent]:
        """Events of a job with a greater `seq` than `after`, in order."""
        return self._db.all(
            OutboxEvent,
            f"SELECT {_COLUMNS} FROM outbox WHERE job_id = %s AND seq > %s ORDER BY seq LIMIT %s",
            [job_id, after, limit],
        )

    def counts(self, job_id: str) -> dict[str, int]:
        """Events of a job by name."""
        rows = self._db.tuples("SELECT name, count(*) FROM outbox WHERE job_id = %s GROUP BY name", [job_id])
        return dict(rows)

    def phase_events(self, job_id: str) -> set[str]:
        """Names of the per-job events received."""
        return {r[0] for r in self._db.tuples("SELECT name FROM phase_events WHERE job_id = %s", [job_id])}
