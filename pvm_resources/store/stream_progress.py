"""Tables `stream_consumers` and `stream_totals`: who reads streams of changes, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pvm_resources.store.base import Repository, listed

#: Seconds without a word after which a consumer is taken for dead.
SILENT_S: Final = 60.0
_ADD: Final = """
INSERT INTO stream_totals AS t (kind, handled, refused, failed, batches, seconds)
VALUES (%(kind)s, %(handled)s, %(refused)s, %(failed)s, %(batches)s, %(seconds)s)
ON CONFLICT (kind) DO UPDATE SET handled = t.handled + excluded.handled,
    refused = t.refused + excluded.refused, failed = t.failed + excluded.failed,
    batches = t.batches + excluded.batches, seconds = t.seconds + excluded.seconds
"""
_DEPTH: Final = """
INSERT INTO stream_totals (kind, lag, pending, dead, measured_at)
VALUES (%(kind)s, %(lag)s, %(pending)s, %(dead)s, clock_timestamp())
ON CONFLICT (kind) DO UPDATE SET lag = excluded.lag, pending = excluded.pending, dead = excluded.dead,
    measured_at = excluded.measured_at
"""
_SEEN: Final = """
INSERT INTO stream_consumers (consumer, kind) VALUES (%s, %s)
ON CONFLICT (consumer) DO UPDATE SET seen_at = clock_timestamp()
"""


@dataclass(frozen=True)
class StreamTotals:
    """What came of the reading of a kind of stream.

    Attributes:
        kind: as `PRODUCT_STREAM_TYPE` names it.
        handled, refused: events applied, and made dead letters.
        failed: batches that had to be tried again.
        batches, seconds: batches done, and the time they took.
        lag, pending, dead: of the last measurement, at `measured_at`; None where the stream does not say.
    """

    kind: str
    handled: int
    refused: int
    failed: int
    batches: int
    seconds: float
    lag: int | None
    pending: int | None
    dead: int | None
    measured_at: datetime


class StreamProgress(Repository):
    """Written by consumers, read by the metrics."""

    def add(self, kind: str, handled: int, refused: int, failed: int, batches: int, seconds: float) -> None:
        """Counts what was done."""
        self._execute(
            _ADD, kind=kind, handled=handled, refused=refused, failed=failed, batches=batches, seconds=seconds
        )

    def measured(self, kind: str, lag: int | None, pending: int | None, dead: int | None) -> None:
        """Keeps what waits."""
        self._execute(_DEPTH, kind=kind, lag=lag, pending=pending, dead=dead)

    def seen(self, consumer: str, kind: str) -> None:
        """A consumer is at work."""
        self._execute(_SEEN, consumer, kind)

    def gone(self, consumers: Sequence[str]) -> None:
        """Consumers have ended."""
        self._execute("DELETE FROM stream_consumers WHERE consumer = ANY(%s)", list(consumers))

    def totals(self) -> list[StreamTotals]:
        """Of every kind that was ever read."""
        query = f"SELECT {listed(StreamTotals)} FROM stream_totals ORDER BY kind"
        return self._db.all(StreamTotals, query)

    def consumers(self) -> dict[str, tuple[int, int]]:
        """Kind -> (consumers at work, consumers that are silent): those ended without saying so."""
        rows = self._db.tuples(
            "SELECT kind, count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM "
            "(SELECT kind, seen_at > now() - make_interval(secs => %s) AS fresh FROM stream_consumers) c "
            "GROUP BY kind",
            [SILENT_S],
        )
        return {row[0]: (row[1], row[2]) for row in rows}
