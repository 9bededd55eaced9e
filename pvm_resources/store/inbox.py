"""The inbox: requests and orders, kept until they are done or refused.

The API writes a request with the job it makes, in one transaction; the bus writes the request alone. A sensor
claims rows by status and turns them into runs, so a request outlives any process.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import psycopg

from pvm_core.errors import InputError
from pvm_jobs import job_ids
from pvm_jobs.events import COLLECT, MATCH, REQUESTS, SEARCH
from pvm_resources.postgres.driver import store_errors
from pvm_resources.postgres.dsn import describe
from pvm_resources.store import job_changes
from pvm_resources.store.base import Repository, json, listed

if TYPE_CHECKING:
    from psycopg import Cursor

InboxStatus = Literal["received", "claimed", "started", "done", "rejected"]

#: A job that exists is to be run; a job that has ended is to be run again.
START: Final = "job.start"
RETRY: Final = "job.retry"
#: Its run is to be ended; its partition is to be removed from Dagster.
CANCEL: Final = "job.cancel"
FORGET: Final = "job.forget"
TOPICS: Final = (START, RETRY, CANCEL, FORGET, *REQUESTS)

#: PostgreSQL's channel on which a new row is announced.
CHANNEL: Final = "pvm_inbox"
#: Seconds after which a claimed row without a run is handed out again.
CLAIM_S: Final = 30.0
#: Seconds a half (`COLLECT` or `SEARCH`) waits for the other one before standing sources fill its place.
PAIRING_S: Final = 10.0
_END_FIRST: Final = "Cancel it first, or wait until it has ended"

#: A row that was handed out this often crashes its processor, and is refused.
ATTEMPTS_MAX: Final = 20


@dataclass(frozen=True)
class InboxRow:
    """A request. `payload` is JSON-able; `error` says why it was rejected."""

    event_id: uuid.UUID
    topic: str
    payload: dict[str, Any]
    source: str
    status: InboxStatus
    job_id: str | None
    run_id: str | None
    error: dict[str, Any] | None
    attempts: int
    received_at: datetime
    claimed_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None


_COLUMNS: Final = listed(InboxRow)
#: A half is ready with its other half, or once it has waited long enough.
_READY: Final = """
(i.topic NOT IN ('products.collect.request', 'videos.search.request')
 OR i.received_at < now() - make_interval(secs => %(pairing)s)
 OR EXISTS (SELECT 1 FROM inbox o WHERE o.payload ->> 'job_id' = i.payload ->> 'job_id' AND o.topic <> i.topic
            AND o.topic IN ('products.collect.request', 'videos.search.request')))
"""
_CLAIM: Final = f"""
UPDATE inbox SET status = 'claimed', claimed_at = now(), attempts = attempts + 1
WHERE event_id IN (
    SELECT event_id FROM inbox i
    WHERE (status = 'received' AND {_READY})
       OR (status = 'claimed' AND claimed_at < now() - make_interval(secs => %(again)s))
    ORDER BY received_at, event_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING {_COLUMNS}
"""


@dataclass(frozen=True)
class Idempotency:
    """A caller's statement that requests with one key are the same request.

    Attributes:
        owner: the caller; keys of two callers are apart.
        key_hash, body_hash: SHA-256 of the key and of the request as understood, 32 bytes each.
    """

    owner: str
    key_hash: bytes
    body_hash: bytes


class Inbox(Repository):
    """Tables `inbox` and `idempotency`."""

    @property
    def dsn(self) -> str:
        """The database, password included: not for logs."""
        return self._db.dsn

    # -- accepting ---------------------------------------------------------------------------------

    def accept(self, event_id: uuid.UUID, topic: str, payload: Mapping[str, Any], source: str) -> bool:
        """Keeps a request; False where that event is known already.

        Args:
            topic: one of `TOPICS`.
            payload: JSON object, as it came.
            source: the caller, e.g. ``bus``.

        Raises:
            InputError: ``inbox.topic``.
        """
        if topic not in TOPICS:
            raise InputError("inbox.topic", topic, "nothing is started by it", f"Use {', '.join(TOPICS)}")
        with self._db.transaction() as cursor:
            return _insert(cursor, event_id, topic, payload, source, None)

    def submit(
        self,
        industry: str,
        request: Mapping[str, Any],
        source: str,
        *,
        idempotency: Idempotency | None = None,
        event_id: uuid.UUID | None = None,
    ) -> tuple[str, bool]:
        """A new job and the order to run it, in one transaction.

        Args:
            industry: slug of an existing industry.
            idempotency: the job of an earlier request under the same key is the answer.
            event_id: an order of that id that exists already answers with its job; default a new one.

        Returns:
            the job's id, and whether it is new.

        Raises:
            InputError: ``idempotency.reused``: the key stands for another request.
        """
        job = job_ids.job_id()
        event = event_id or uuid.uuid4()
        with self._db.transaction() as cursor:
            job_changes.insert(cursor, job, industry, request)
            known = _job_of_key(cursor, idempotency, job) if idempotency is not None else None
            if known is None and not _insert(cursor, event, START, {"job_id": job}, source, job):
                row = cursor.execute("SELECT job_id FROM inbox WHERE event_id = %s", [event]).fetchone()
                known = str(row[0]) if row else None
            if known is not None:
                job_changes.delete(cursor, job)
        return known or job, known is None

    def retry(self, job_id: str, source: str) -> uuid.UUID:
        """A job that has ended waits for a new run; what it finished is kept. It is no longer archived.

        Raises:
            InputError: ``job.unknown``, ``job.open``.
        """
        event = uuid.uuid4()
        with self._db.transaction() as cursor:
            job = job_changes.lock(cursor, job_id)
            job.require_ended("Wait until it has ended, or cancel it first")
            job_changes.move(cursor, job, "queued")
            cursor.execute(job_changes.NEW_RUN, [job_id])
            _insert(cursor, event, RETRY, {"job_id": job_id}, source, job_id)
        return event

    def cancel(self, job_id: str, source: str) -> bool:
        """Cancels the job at once where no run works on it, else orders the end of its run. False where the
        job has ended already.

        Raises:
            InputError: ``job.unknown``.
        """
        with self._db.transaction() as cursor:
            job = job_changes.lock(cursor, job_id)
            if job.ended:
                return False
            _withdraw_starts(cursor, job_id, "received")
            if job.status == "queued":
                job_changes.move(cursor, job, "cancelled")
            # A run may be queued or starting: only Dagster knows.
            _insert(cursor, uuid.uuid4(), CANCEL, job.order(), source, job_id)
        return True

    def archive(self, job_id: str, source: str) -> None:
        """Takes a job that has ended out of lists and out of Dagster; its results stay readable.

        Raises:
            InputError: ``job.unknown``, ``job.open``.
        """
        with self._db.transaction() as cursor:
            job = job_changes.lock(cursor, job_id)
            job.require_ended(_END_FIRST)
            job_changes.archive(cursor, job_id)
            _insert(cursor, uuid.uuid4(), FORGET, job.order(), source, job_id)

    def delete(self, job_id: str, source: str, *, force: bool = False) -> None:
        """Removes a job with everything that belongs to it alone, and orders its partition's removal.

        Args:
            force: a job that has not ended is removed as well, and its run ended.

        Raises:
            InputError: ``job.unknown``, ``job.open``.
        """
        with self._db.transaction() as cursor:
            job = job_changes.lock(cursor, job_id)
            if not force:
                job.require_ended(_END_FIRST)
            _withdraw_starts(cursor, job_id, "received", "claimed", "started")
            job_changes.delete(cursor, job_id)
            if not job.ended:
                _insert(cursor, uuid.uuid4(), CANCEL, job.order(), source, job_id)
            _insert(cursor, uuid.uuid4(), FORGET, job.order(), source, job_id)

    # -- processing --------------------------------------------------------------------------------

    def claim(
        self, limit: int = 100, *, again_s: float = CLAIM_S, pairing_s: float = PAIRING_S
    ) -> list[InboxRow]:
        """Claims open requests, oldest first. One claimed longer than `again_s` seconds ago is claimed again:
        its processor died before its run existed."""
        rows = self._db.all(InboxRow, _CLAIM, {"again": again_s, "pairing": pairing_s, "limit": limit})
        return sorted(rows, key=lambda row: (row.received_at, row.event_id))

    def halves(self, job_id: str) -> dict[str, InboxRow]:
        """The two halves of a bus request that name this job, the first of each topic."""
        rows = self._db.all(
            InboxRow,
            f"SELECT {_COLUMNS} FROM inbox WHERE payload ->> 'job_id' = %s AND topic = ANY(%s) "
            "AND status <> 'rejected' ORDER BY received_at DESC, event_id DESC",
            [job_id, [COLLECT, SEARCH]],
        )
        return {row.topic: row for row in rows}

    def adopt(
        self, industry: str, request: Mapping[str, Any], job_id: str, event_ids: Sequence[uuid.UUID]
    ) -> bool:
        """Makes the job that requests of the bus name, once; they concern it from then on.

        Returns:
            False where the job exists already: it keeps its own request.

        Raises:
            StoreError: ``store.refused`` where the id cannot be a job's.
        """
        with self._db.transaction() as cursor:
            new = job_changes.insert(cursor, job_id, industry, request)
            cursor.execute("UPDATE inbox SET job_id = %s WHERE event_id = ANY(%s)", [job_id, list(event_ids)])
        return new

    def of_job(self, event_ids: Sequence[uuid.UUID], job_id: str) -> None:
        """Those requests concern this job."""
        self._execute("UPDATE inbox SET job_id = %s WHERE event_id = ANY(%s)", job_id, list(event_ids))

    def started(self, runs: Mapping[uuid.UUID, str]) -> None:
        """Runs exist for those requests: event id -> Dagster's run id."""
        self._execute(
            "UPDATE inbox i SET status = 'started', run_id = s.run, started_at = now() "
            "FROM unnest(%s::uuid[], %s::text[]) s (event, run) "
            "WHERE i.event_id = s.event AND i.status = 'claimed'",
            list(runs),
            list(runs.values()),
        )

    def done(self, event_ids: Iterable[uuid.UUID]) -> None:
        """Nothing is left to do for those requests."""
        self._execute(
            "UPDATE inbox SET status = 'done', ended_at = now() WHERE event_id = ANY(%s) "
            "AND status <> 'rejected'",
            list(event_ids),
        )

    def reject(self, event_id: uuid.UUID, error: Mapping[str, Any]) -> None:
        """The request cannot be done, for that reason (code, subject, reason, remedy)."""
        self._execute(
            "UPDATE inbox SET status = 'rejected', ended_at = now(), error = %s WHERE event_id = %s",
            json(dict(error)),
            event_id,
        )

    def settle(self) -> int:
        """Requests whose job has ended, or is gone, are done; returns how many."""
        return self._execute(
            "UPDATE inbox i SET status = 'done', ended_at = now() WHERE i.status = 'started' "
            "AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.job_id = i.job_id "
            "AND j.status IN ('queued', 'running'))"
        )

    def prune(self, older_than_days: int = 30) -> int:
        """Deletes what is done, and idempotency keys, older than that; returns rows deleted."""
        old = "< now() - make_interval(days => %s)"
        done = "DELETE FROM inbox WHERE status IN ('done', 'rejected') AND ended_at"
        keys = "DELETE FROM idempotency WHERE created_at"
        return sum(self._execute(f"{delete} {old}", older_than_days) for delete in (done, keys))

    def later_starts(self, row: InboxRow) -> set[uuid.UUID]:
        """Orders to run the job of `row` that came after `row`."""
        rows = self._db.tuples(
            "SELECT event_id FROM inbox WHERE job_id = %s AND topic = ANY(%s) AND received_at > %s",
            [row.job_id, [START, RETRY, MATCH], row.received_at],
        )
        return {found[0] for found in rows}

    # -- reading -----------------------------------------------------------------------------------

    def rows(self, status: InboxStatus | None = None, limit: int = 1_000) -> list[InboxRow]:
        """Requests, oldest first; with one status where given."""
        return self._db.all(
            InboxRow,
            f"SELECT {_COLUMNS} FROM inbox WHERE (%(status)s::text IS NULL OR status = %(status)s) "
            "ORDER BY received_at, event_id LIMIT %(limit)s",
            {"status": status, "limit": limit},
        )

    def stuck(self, older_than_s: float) -> list[InboxRow]:
        """Requests that wait for a run longer than that, oldest first."""
        return self._db.all(
            InboxRow,
            f"SELECT {_COLUMNS} FROM inbox WHERE status IN ('received', 'claimed') "
            "AND received_at < now() - make_interval(secs => %s) ORDER BY received_at LIMIT 1000",
            [older_than_s],
        )

    def depth(self) -> dict[str, int]:
        """Open requests by status."""
        rows = self._db.tuples(
            "SELECT status, count(*) FROM inbox WHERE status IN ('received', 'claimed', 'started') GROUP BY 1"
        )
        return {status: int(count) for status, count in rows}


class InboxListener:
    """Notifies of new requests as they are committed; listens from the moment it is entered.

    Args:
        dsn: the database.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def __enter__(self) -> InboxListener:
        with store_errors(describe(self._dsn)):
            self._connection = psycopg.connect(self._dsn, autocommit=True)
            self._connection.execute(f"LISTEN {CHANNEL}")
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def wait(self, seconds: float) -> bool:
        """True as soon as a request has come, False after `seconds` without one."""
        with store_errors(describe(self._dsn)):
            return any(True for _ in self._connection.notifies(timeout=seconds, stop_after=1))


def _insert(
    cursor: Cursor[tuple[Any, ...]],
    event_id: uuid.UUID,
    topic: str,
    payload: Mapping[str, Any],
    source: str,
    job_id: str | None,
) -> bool:
    cursor.execute(
        "INSERT INTO inbox (event_id, topic, payload, source, job_id) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT (event_id) DO NOTHING",
        [event_id, topic, json(dict(payload)), source, job_id],
    )
    new = cursor.rowcount == 1
    if new:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
    return new


def _job_of_key(cursor: Cursor[tuple[Any, ...]], idempotency: Idempotency, job: str) -> str | None:
    # A concurrent request with the same key waits here until the first one has committed.
    cursor.execute(
        "INSERT INTO idempotency (owner, key_hash, body_hash, job_id) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (owner, key_hash) DO NOTHING",
        [idempotency.owner, idempotency.key_hash, idempotency.body_hash, job],
    )
    if cursor.rowcount == 1:
        return None
    row = cursor.execute(
        "SELECT job_id, body_hash FROM idempotency WHERE owner = %s AND key_hash = %s",
        [idempotency.owner, idempotency.key_hash],
    ).fetchone()
    if row is None or bytes(row[1]) != idempotency.body_hash:
        raise InputError(
            "idempotency.reused", "Idempotency-Key", "it stands for another request", "Use a key of its own"
        )
    return str(row[0])


def _withdraw_starts(cursor: Cursor[tuple[Any, ...]], job_id: str, *statuses: InboxStatus) -> None:
    """Orders to run the job, of those statuses, are done."""
    cursor.execute(
        "UPDATE inbox SET status = 'done', ended_at = now() WHERE job_id = %s AND topic = ANY(%s) "
        "AND status = ANY(%s)",
        [job_id, [START, RETRY], list(statuses)],
    )
