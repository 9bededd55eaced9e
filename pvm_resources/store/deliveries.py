"""Deliveries: every event to every endpoint that subscribes to it.

A stream is the queue of one endpoint and one job; events of the catalogue, which have no job, are that of the
empty name. A relay claims a stream with a lease, sends its open events
in order of `seq`, and stores the result of each; only the holder of the lease sends.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pvm_jobs.delivery_policy import DeliveryAnswer, DeliveryDecision
from pvm_jobs.payloads import Outgoing
from pvm_resources.store.base import Cursor, Repository, clean
from pvm_resources.store.endpoints import CALLBACK_EVENTS, Endpoints, callback_id

#: PostgreSQL's channel on which new work is announced; the outbox does so by a trigger.
CHANNEL: Final = "pvm_outbox"
#: Seconds until the streams of a dead relay are free again.
LEASE_S: Final = 20.0

_FAN_LOCK: Final = "pvm fan-out"
_TAKE = """
WITH batch AS (SELECT event_id FROM outbox WHERE NOT fanned_out ORDER BY seq LIMIT %s)
UPDATE outbox o SET fanned_out = true FROM batch b WHERE o.event_id = b.event_id RETURNING o.event_id
"""
_CALLBACKS = """
SELECT DISTINCT j.job_id, j.request ->> 'callback_url', j.created_at FROM outbox o JOIN jobs j USING (job_id)
WHERE o.event_id = ANY(%s) AND o.name = ANY(%s) AND j.request ->> 'callback_url' <> ''
"""
_ENDPOINT = """
INSERT INTO endpoints (endpoint_id, kind, name, url, events, job_id, since)
VALUES (%s, 'callback', 'callback', %s, %s, %s, %s) ON CONFLICT (endpoint_id) DO NOTHING
"""
# The stream is written even where it exists, so that a release that would delete it waits for this commit.
_SPREAD = """
WITH spread AS (
    INSERT INTO deliveries (endpoint_id, event_id, job_id, seq)
    SELECT e.endpoint_id, o.event_id, coalesce(o.job_id, ''), o.seq FROM outbox o JOIN endpoints e
      ON e.enabled AND o.created_at >= e.since AND (e.job_id IS NULL OR e.job_id = o.job_id)
     AND EXISTS (SELECT 1 FROM unnest(e.events) p WHERE o.name LIKE replace(p, '*', '%%'))
    WHERE o.event_id = ANY(%s)
    ON CONFLICT DO NOTHING RETURNING endpoint_id, job_id)
INSERT INTO delivery_streams AS s (endpoint_id, job_id)
SELECT DISTINCT endpoint_id, job_id FROM spread ORDER BY 1, 2
ON CONFLICT (endpoint_id, job_id) DO UPDATE SET created_at = s.created_at
"""
_CLAIM = """
UPDATE delivery_streams s SET lease_by = %(owner)s, lease_until = now() + make_interval(secs => %(lease)s)
FROM (SELECT q.endpoint_id, q.job_id FROM delivery_streams q JOIN endpoints e USING (endpoint_id)
      WHERE e.enabled AND e.kind = ANY(%(kinds)s) AND q.next_attempt_at <= now()
        AND (q.lease_until IS NULL OR q.lease_until < now()) AND q.endpoint_id <> ALL(%(busy)s)
      ORDER BY q.next_attempt_at LIMIT 1 FOR UPDATE OF q SKIP LOCKED) c
WHERE s.endpoint_id = c.endpoint_id AND s.job_id = c.job_id
RETURNING s.endpoint_id, s.job_id
"""
_DUE = """
SELECT extract(epoch FROM min(greatest(s.next_attempt_at, s.lease_until)) - now())
FROM delivery_streams s JOIN endpoints e USING (endpoint_id) WHERE e.enabled AND e.kind = ANY(%s)
  AND s.lease_by IS DISTINCT FROM %s
"""
_RESULT = """
UPDATE deliveries SET attempts = attempts + %(attempt)s, conflicts = conflicts + %(conflict)s,
    last_status = %(status)s, last_error = %(error)s, last_attempt_at = now(),
    delivered_at = CASE WHEN %(state)s = 'delivered' THEN now() END,
    dead_at = CASE WHEN %(state)s IN ('dead', 'gone') THEN now() END
WHERE endpoint_id = %(endpoint)s AND event_id = %(event)s AND delivered_at IS NULL
"""
_GONE = """
UPDATE deliveries SET dead_at = now(), last_error = coalesce(last_error, 'the endpoint is gone (410)')
WHERE endpoint_id = %s AND delivered_at IS NULL AND dead_at IS NULL
"""
#: Over `deliveries d`: those of a job, an event, an endpoint, where given.
_FILTERS: Final = """(%(job)s::text IS NULL OR d.job_id = %(job)s)
  AND (%(event)s::uuid IS NULL OR d.event_id = %(event)s)
  AND (%(endpoint)s::uuid IS NULL OR d.endpoint_id = %(endpoint)s)"""
_LISTED = """
SELECT d.endpoint_id, e.name AS endpoint, e.kind, e.url, d.event_id, d.job_id, d.seq, o.name, d.attempts,
       d.conflicts, d.last_status, d.last_error, d.last_attempt_at, d.delivered_at, d.dead_at,
       CASE WHEN d.delivered_at IS NULL AND d.dead_at IS NULL THEN s.next_attempt_at END AS next_attempt_at
FROM deliveries d JOIN outbox o USING (event_id) JOIN endpoints e ON e.endpoint_id = d.endpoint_id
LEFT JOIN delivery_streams s ON s.endpoint_id = d.endpoint_id AND s.job_id = d.job_id
WHERE {filters} AND {state}
ORDER BY d.seq DESC, d.endpoint_id LIMIT %(limit)s
"""
_STATES: Final = {
    "all": "true",
    "open": "d.delivered_at IS NULL AND d.dead_at IS NULL",
    "dead": "d.dead_at IS NOT NULL",
    "delivered": "d.delivered_at IS NOT NULL",
}
_BACKLOG = """
SELECT n.unseen, n.unseen_s, w.open FROM
(SELECT count(*) AS unseen, extract(epoch FROM now() - min(created_at))::float8 AS unseen_s
 FROM outbox WHERE NOT fanned_out) n,
(SELECT count(*) AS open FROM deliveries d JOIN endpoints e USING (endpoint_id)
 WHERE d.delivered_at IS NULL AND d.dead_at IS NULL AND e.enabled) w
"""


@dataclass(frozen=True)
class Stream:
    """The queue of one endpoint and one job."""

    endpoint_id: uuid.UUID
    job_id: str


@dataclass(frozen=True)
class Delivery:
    """One event for one endpoint; `endpoint` is the endpoint's name."""

    endpoint_id: uuid.UUID
    endpoint: str
    kind: str
    url: str
    event_id: uuid.UUID
    job_id: str
    seq: int
    name: str
    attempts: int
    conflicts: int
    last_status: int | None
    last_error: str | None
    last_attempt_at: datetime | None
    delivered_at: datetime | None
    dead_at: datetime | None
    next_attempt_at: datetime | None

    @property
    def state(self) -> str:
        """``delivered``, ``dead`` or ``open``."""
        return "delivered" if self.delivered_at else "dead" if self.dead_at else "open"


@dataclass(frozen=True)
class Backlog:
    """What has not been delivered.

    Attributes:
        unseen: events that no relay has assigned yet; `unseen_s` is the age of the oldest, seconds.
        open: deliveries that wait for an attempt.
    """

    unseen: int
    unseen_s: float | None
    open: int


class Deliveries(Repository):
    """Tables `deliveries` and `delivery_streams`."""

    # -- from the outbox ---------------------------------------------------------------------------

    def fan_out(self, limit: int = 1_000) -> int:
        """Assigns the oldest new events to the endpoints that subscribe to them, and adds the endpoints of
        jobs with a callback; returns the number of events.

        One process at a time: two at once could make a later event of a job visible before an earlier one.
        Returns 0 while another process does it.
        """
        with self._db.transaction() as cursor:
            row = cursor.execute(
                "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [_FAN_LOCK]
            ).fetchone()
            if row is None or not row[0]:
                return 0
            taken = [r[0] for r in cursor.execute(_TAKE, [limit])]
            if taken:
                callbacks = cursor.execute(_CALLBACKS, [taken, list(CALLBACK_EVENTS)]).fetchall()
                for job, url, since in callbacks:
                    cursor.execute(_ENDPOINT, [callback_id(job, url), url, list(CALLBACK_EVENTS), job, since])
                cursor.execute(_SPREAD, [taken])
        return len(taken)

    # -- a relay's work ----------------------------------------------------------------------------

    def claim(
        self,
        owner: uuid.UUID,
        kinds: Sequence[str],
        *,
        busy: Sequence[uuid.UUID] = (),
        lease_s: float = LEASE_S,
    ) -> Stream | None:
        """Takes the stream that has been due the longest; None where none is.

        Args:
            owner: the relay; no other gets the stream while its lease lasts.
            kinds: of endpoints that the relay can reach.
            busy: endpoints left out.
        """
        return self._db.one(
            Stream, _CLAIM, {"owner": owner, "kinds": list(kinds), "busy": list(busy), "lease": lease_s}
        )

    def renew(self, owner: uuid.UUID, lease_s: float = LEASE_S) -> None:
        """Renews the leases of a relay."""
        self._execute(
            "UPDATE delivery_streams SET lease_until = now() + make_interval(secs => %s) WHERE lease_by = %s",
            lease_s,
            owner,
        )

    def waiting(self, stream: Stream, limit: int) -> list[Outgoing]:
        """The open events of a stream, in order."""
        return self._db.all(
            Outgoing,
            "SELECT d.event_id, d.job_id, d.seq, o.name, o.payload, o.created_at, d.attempts, d.conflicts "
            "FROM deliveries d JOIN outbox o USING (event_id) WHERE d.endpoint_id = %s AND d.job_id = %s "
            "AND d.delivered_at IS NULL AND d.dead_at IS NULL ORDER BY d.seq LIMIT %s",
            [stream.endpoint_id, stream.job_id, limit],
        )

    def record(
        self,
        owner: uuid.UUID,
        stream: Stream,
        results: Sequence[tuple[uuid.UUID, DeliveryAnswer, DeliveryDecision]],
    ) -> bool:
        """Stores the results of some events, in order; True where the stream may go on at once.

        Results are stored even where the lease was lost meanwhile.
        """
        with self._db.transaction() as cursor:
            held = _holds(cursor, owner, stream)
            cursor.executemany(_RESULT, [_result(stream, *one) for one in results])
            last = results[-1][2]
            if last.state == "gone":
                cursor.execute(_GONE, [stream.endpoint_id])
                self._db.write(cursor, Endpoints.disable_write(stream.endpoint_id, "it answered 410 Gone"))
            if not held:
                return False
            if last.state == "retry":
                cursor.execute(
                    "UPDATE delivery_streams SET next_attempt_at = now() + make_interval(secs => %s), "
                    "lease_by = NULL, lease_until = NULL WHERE endpoint_id = %s AND job_id = %s",
                    [last.delay_s, stream.endpoint_id, stream.job_id],
                )
        return last.state in ("delivered", "dead")

    def release(self, owner: uuid.UUID, stream: Stream) -> None:
        """Gives a stream back; one without open events is dropped."""
        with self._db.transaction() as cursor:
            place = [stream.endpoint_id, stream.job_id]
            if not _holds(cursor, owner, stream):
                return
            # A statement of its own, so that it sees events whose writer held the stream until just now.
            cursor.execute(
                "DELETE FROM delivery_streams s WHERE endpoint_id = %s AND job_id = %s AND NOT EXISTS "
                "(SELECT 1 FROM deliveries d WHERE d.endpoint_id = s.endpoint_id AND d.job_id = s.job_id "
                "AND d.delivered_at IS NULL AND d.dead_at IS NULL)",
                place,
            )
            cursor.execute(
                "UPDATE delivery_streams SET lease_by = NULL, lease_until = NULL "
                "WHERE endpoint_id = %s AND job_id = %s",
                place,
            )

    def release_all(self, owner: uuid.UUID) -> None:
        """Frees all streams of a relay that ends."""
        query = "UPDATE delivery_streams SET lease_by = NULL, lease_until = NULL WHERE lease_by = %s"
        self._execute(query, owner)

    def due_in(self, owner: uuid.UUID, kinds: Sequence[str]) -> float | None:
        """Seconds until a stream can be claimed, 0 or less where one can now; None where none waits."""
        found = self._db.value(_DUE, [list(kinds), owner])
        return None if found is None else float(found)

    # -- listing and replay -------------------------------------------------------------------------

    def listed(
        self,
        state: str = "all",
        *,
        job_id: str | None = None,
        event_id: uuid.UUID | None = None,
        endpoint_id: uuid.UUID | None = None,
        limit: int = 100,
    ) -> list[Delivery]:
        """Deliveries, newest first; `state` is ``all``, ``open``, ``dead`` or ``delivered``."""
        return self._db.all(
            Delivery,
            _LISTED.format(filters=_FILTERS, state=_STATES[state]),
            {"job": job_id, "event": event_id, "endpoint": endpoint_id, "limit": limit},
        )

    def replay(
        self,
        *,
        event_id: uuid.UUID | None = None,
        job_id: str | None = None,
        endpoint_id: uuid.UUID | None = None,
        everything: bool = False,
    ) -> int:
        """Sends again what is dead, or with `everything` also what has arrived; returns how many.

        Attempts are counted from 0. Later events of the same job may have gone out before.
        """
        which = f"NOT ({_STATES['open']})" if everything else _STATES["dead"]
        values: dict[str, Any] = {"event": event_id, "job": job_id, "endpoint": endpoint_id}
        with self._db.transaction() as cursor:
            streams = cursor.execute(
                "UPDATE deliveries d SET dead_at = NULL, delivered_at = NULL, attempts = 0, conflicts = 0 "
                f"WHERE {_FILTERS} AND {which} RETURNING endpoint_id, job_id",
                values,
            ).fetchall()
            cursor.executemany(
                "INSERT INTO delivery_streams (endpoint_id, job_id) VALUES (%s, %s) "
                "ON CONFLICT (endpoint_id, job_id) DO UPDATE SET next_attempt_at = now()",
                sorted(set(streams)),
            )
            cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
        return len(streams)

    def backlog(self) -> Backlog:
        """What has not been delivered to endpoints that are enabled."""
        found = self._db.one(Backlog, _BACKLOG)
        assert found is not None
        return found


def _holds(cursor: Cursor, owner: uuid.UUID, stream: Stream) -> bool:
    """True where the stream's lease is the owner's; locks its row."""
    query = (
        "SELECT 1 FROM delivery_streams WHERE endpoint_id = %s AND job_id = %s AND lease_by = %s FOR UPDATE"
    )
    return cursor.execute(query, [stream.endpoint_id, stream.job_id, owner]).fetchone() is not None


def _result(
    stream: Stream, event_id: uuid.UUID, answer: DeliveryAnswer, verdict: DeliveryDecision
) -> dict[str, Any]:
    return {
        "endpoint": stream.endpoint_id,
        "event": event_id,
        "attempt": 0 if verdict.conflict else 1,
        "conflict": int(verdict.conflict),
        "status": answer.status,
        "error": clean(answer.error) or None,
        "state": verdict.state,
    }
