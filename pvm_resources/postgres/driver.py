"""PostgreSQL: a lazy pool, one write path, bulk by COPY, streaming reads, run locks."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import select
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import RowFactory, kwargs_row
from psycopg.types import TypeInfo
from psycopg.types.json import set_json_dumps
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from pvm_core.errors import StoreError
from pvm_jobs import text
from pvm_resources.postgres import dsn as dsns

if TYPE_CHECKING:
    from psycopg.abc import Params

T = TypeVar("T")
_Connection = psycopg.Connection[tuple[Any, ...]]
_Cursor = psycopg.Cursor[tuple[Any, ...]]

#: Rows fetched from a server-side cursor at a time.
BATCH: Final = 1_000
_CONNECT_TIMEOUT_S: Final = 10
#: How long a call waits for a connection before it asks whether the server is there at all.
_PATIENCE_S: Final = 3.0
_BUSY_TIMEOUT_S: Final = 60.0
#: A connection that was in order so lately, seconds, is not asked again before its next use.
_CHECK_S: Final = 5.0
_DEFAULTS: Final = {
    "connect_timeout": str(_CONNECT_TIMEOUT_S),
    "application_name": "pvm",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}


@dataclass(frozen=True)
class Statement:
    """One SQL statement of a commit."""

    query: str
    params: Params | None = None


@dataclass(frozen=True)
class Copy:
    """Rows for one table, sent by COPY into a staging table and merged from there.

    Attributes:
        table: the target.
        columns: name -> SQL type, in the order of a row's values.
        rows: consumed while they are sent, so an iterator needs no room.
        key: columns that tell rows apart; of two rows with one key the last counts.
        conflict: what follows ON CONFLICT where it is not `key`, e.g. columns of a generated hash.
        update: columns a row that exists takes from the new one; none: it stays as it is. A row that
            would not change is not written.
        extra: SQL for values that depend on both rows, column -> expression over ``t`` and ``excluded``.
        before: SQL statements to run once the rows are staged, e.g. a DELETE against ``{stage}``.
    """

    table: str
    columns: Mapping[str, str]
    rows: Iterable[Sequence[Any]]
    key: Sequence[str]
    conflict: str | None = None
    update: Sequence[str] = ()
    extra: Mapping[str, str] | None = None
    before: Sequence[Statement] = ()


#: What a commit runs; a function gets the cursor of the transaction and returns rows changed.
Write = Statement | Copy | Callable[[_Cursor], int]


def _send_all(connection: _Connection) -> None:
    """Hands what a pipeline still holds of long statements to the server.

    psycopg (3.3, `generators._pipeline_communicate`) stops sending once its last statement has begun and then
    waits for answers alone, while the server waits for the rest.
    """
    pgconn = connection.pgconn
    while pgconn.flush():
        readable, _, _ = select.select([pgconn.socket], [pgconn.socket], [])
        if readable:
            pgconn.consume_input()


class Database:
    """A database of ours. Made without connecting; every call connects where it must.

    Threads may share one; a forked child gets a pool of its own. After the server was gone the next call
    connects again.

    Args:
        dsn: any libpq form.
        max_connections: of this process; a stream that is being read holds one.
    """

    def __init__(self, dsn: str, *, max_connections: int = 10) -> None:
        self._conninfo = dsns.with_params(dsn, _DEFAULTS)
        self._where = dsns.describe(dsn)
        self._max = max_connections
        self._pool: ConnectionPool[_Connection] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Database({self._where})"

    @property
    def dsn(self) -> str:
        """The connection string, password included: not for logs."""
        return self._conninfo

    def close(self) -> None:
        """Closes the connections; the next call opens new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None and self._owner == os.getpid():
            pool.close(timeout=5)

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- writing ----------------------------------------------------------------------------------

    def commit(self, *writes: Write) -> list[int]:
        """Runs `writes` in order, in one transaction.

        Returns:
            rows changed, one number per write.

        Raises:
            StoreError: nothing was written.
        """
        with self.transaction() as cursor:
            return [_write(cursor, write) for write in writes]

    @contextlib.contextmanager
    def transaction(self, *, pipelined: bool = False) -> Iterator[_Cursor]:
        """A cursor inside one transaction, for what `commit` cannot say.

        Args:
            pipelined: statements are sent together, up to the next whose rows are fetched; an error may show
                later than its statement. Parameters of those whose rows are fetched must be short (100 kB):
                psycopg waits for the answer of a statement that is not wholly sent.
        """
        with (
            self._connected() as connection,
            connection.pipeline() if pipelined else contextlib.nullcontext(),
            connection.cursor() as cursor,
        ):
            yield cursor
            if pipelined:
                _send_all(connection)
                # The end of the transaction travels with its last statements.
                connection.commit()

    def write(self, cursor: _Cursor, write: Write) -> int:
        """Runs one write within a `transaction`; returns rows changed."""
        return _write(cursor, write)

    # -- reading ----------------------------------------------------------------------------------

    def all(self, make: Callable[..., T], query: str, params: Params | None = None) -> list[T]:
        """Every row, as ``make(**columns)``."""
        with self._connected() as connection, connection.cursor(row_factory=kwargs_row(make)) as cursor:
            return cursor.execute(_sql(query), params).fetchall()

    def one(self, make: Callable[..., T], query: str, params: Params | None = None) -> T | None:
        """The first row, as ``make(**columns)``; None where there is none."""
        with self._connected() as connection, connection.cursor(row_factory=kwargs_row(make)) as cursor:
            return cursor.execute(_sql(query), params).fetchone()

    def tuples(self, query: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """Every row, as a tuple."""
        with self._connected() as connection:
            return connection.execute(_sql(query), params).fetchall()

    def value(self, query: str, params: Params | None = None) -> Any:
        """The first column of the first row; None where there is none."""
        with self._connected() as connection:
            row = connection.execute(_sql(query), params).fetchone()
        return row[0] if row else None

    def stream(
        self, make: Callable[..., T], query: str, params: Params | None = None, batch: int = BATCH
    ) -> Iterator[T]:
        """Rows one by one through a server-side cursor, `batch` in memory at a time.

        Holds a connection until it is exhausted or closed; what is committed meanwhile is not seen.
        """
        for rows in self.batches(kwargs_row(make), query, params, batch):
            yield from rows

    def batches(
        self,
        factory: RowFactory[T],
        query: str,
        params: Params | None = None,
        batch: int = BATCH,
        *,
        binary: bool = False,
    ) -> Iterator[list[T]]:
        """Like `stream`, in lists of up to `batch` rows made by a psycopg row factory."""
        name = f"s{uuid.uuid4().hex}"
        with (
            self._connected() as connection,
            psycopg.ServerCursor(connection, name, row_factory=factory) as cursor,
        ):
            cursor.format = psycopg.pq.Format.BINARY if binary else psycopg.pq.Format.TEXT
            cursor.execute(_sql(query), params, binary=binary)
            while rows := cursor.fetchmany(batch):
                yield rows

    # -- locks ------------------------------------------------------------------------------------

    def run_lock(self, name: str) -> RunLock:
        """A lock that says "the holder of `name` is alive", not yet taken."""
        return RunLock(self._conninfo, name)

    def locked(self, names: Collection[str]) -> set[str]:
        """Those of `names` whose run lock is held."""
        query = """
            SELECT n FROM unnest(%s::text[]) n
            JOIN pg_locks l ON l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
             AND l.classid::bigint = (hashtextextended(n, 0) >> 32) & 4294967295
             AND l.objid::bigint = hashtextextended(n, 0) & 4294967295
            WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """
        return {row[0] for row in self.tuples(query, [list(names)])} if names else set()

    def ping(self) -> None:
        """Raises StoreError where the database does not answer."""
        self.value("SELECT 1")

    # -- connections ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _connected(self) -> Iterator[_Connection]:
        pool, connection = self._borrow()
        try:
            with store_errors(self._where), connection:
                yield connection
        finally:
            pool.putconn(connection)

    def _borrow(self) -> tuple[ConnectionPool[_Connection], _Connection]:
        deadline = time.monotonic() + _BUSY_TIMEOUT_S
        while True:
            pool = self._opened()
            try:
                return pool, pool.getconn(timeout=_PATIENCE_S)
            except PoolClosed:
                continue
            except PoolTimeout:
                self._probe()
                if time.monotonic() > deadline:
                    raise StoreError(
                        "store.busy", self._where, f"all {self._max} connections are in use",
                        "Try again",
                    ) from None  # fmt: skip

    def _probe(self) -> None:
        # The pool reports only a timeout; this connection raises the reason.
        with store_errors(self._where), psycopg.connect(self._conninfo):
            pass

    def _opened(self) -> ConnectionPool[_Connection]:
        with self._lock:
            if self._pool is None or self._owner != os.getpid():
                self._probe()
                # Its failures reach the user as errors; the log would only repeat them on stderr.
                logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())
                self._owner = os.getpid()
                self._pool = ConnectionPool(
                    self._conninfo, min_size=0, max_size=self._max, open=True, name="pvm",
                    check=_check, reconnect_timeout=_PATIENCE_S,
                    connection_class=_PooledConnection, max_idle=60, configure=_configure,
                )  # fmt: skip
            return self._pool


def _configure(connection: _Connection) -> None:
    set_json_dumps(text.dumps, connection)


def _check(connection: _Connection) -> None:
    """Asks the server for a sign of life, where there is reason to: a round trip costs as much as a query."""
    assert isinstance(connection, _PooledConnection)
    now = time.monotonic()
    # The end of a connection whose server is gone can be read from its socket.
    told = bool(select.select([connection.pgconn.socket], [], [], 0)[0])
    if told or now - connection.checked_at > _CHECK_S:
        ConnectionPool.check_connection(connection)
        connection.checked_at = now


class _PooledConnection(psycopg.Connection[tuple[Any, ...]]):
    """`with connection` ends the transaction and leaves the connection open, for the pool."""

    checked_at = -math.inf

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.closed:
            return
        if kind is None:
            self.commit()
        else:
            with contextlib.suppress(psycopg.Error):
                self.rollback()


class RunLock:
    """A session lock on a connection of its own: held while the process lives, gone when it dies.

    Args:
        conninfo: the database.
        name: e.g. a Dagster run id.
    """

    def __init__(self, conninfo: str, name: str) -> None:
        self._conninfo = conninfo
        self._where = dsns.describe(conninfo)
        self.name = name
        self._connection: _Connection | None = None

    def acquire(self) -> bool:
        """Takes the lock; False where another process holds it.

        Raises:
            StoreError: the database is out of reach.
        """
        if self.held():
            return True
        self.release()
        with store_errors(self._where):
            connection = psycopg.connect(self._conninfo, autocommit=True)
            row = connection.execute(
                "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [self.name]
            ).fetchone()
        if row is None or not row[0]:
            connection.close()
            return False
        self._connection = connection
        return True

    def held(self) -> bool:
        """True while this object holds the lock; asks the server."""
        if self._connection is None or self._connection.closed:
            return False
        try:
            self._connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def release(self) -> None:
        """Gives the lock back; no error where it is not held."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                # Closing alone would leave the lock held until the server notices.
                self._connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [self.name])
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def __enter__(self) -> RunLock:
        if not self.acquire():
            raise StoreError(
                "store.locked",
                self.name,
                "another process is working on it",
                "Wait until it has ended",
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


# -- errors -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def store_errors(where: str) -> Iterator[None]:
    """Turns psycopg's errors into StoreErrors with stable codes; `where` is the database without secrets."""
    try:
        yield
    except psycopg.Error as error:
        raise _store_error(where, error) from error
    except UnicodeEncodeError as error:
        raise StoreError(
            "store.text",
            repr(error.object[:60]),
            "it holds characters that are not Unicode text",
            "Correct the name",
        ) from error


_BY_STATE: Final = {
    "53100": ("store.disk_full", "the database's disk is full", "Free space, then run again", True),
    "42P01": ("store.schema", "its schema is missing or older", "Run `pvm up`", False),
    "42703": ("store.schema", "its schema is missing or older", "Run `pvm up`", False),
    "3D000": (
        "store.no_database",
        "there is no such database",
        "Create it, or correct the database URL",
        False,
    ),
    "28P01": ("store.denied", "the password is wrong", "Correct the database URL", False),
    "28000": ("store.denied", "the login was refused", "Correct the database URL", False),
    "53300": ("store.busy", "it has too many connections", "Try again", True),
}


def _store_error(where: str, error: psycopg.Error) -> StoreError:
    state = error.sqlstate or ""
    detail = (error.diag.message_primary or str(error)).strip()
    if state in _BY_STATE:
        code, reason, remedy, retryable = _BY_STATE[state]
        return StoreError(code, where, reason, remedy, retryable=retryable)
    if state.startswith("23"):
        return StoreError(
            "store.refused", error.diag.table_name or where, detail, "This is an error of the program"
        )
    if state.startswith("40") or state == "55P03":
        return StoreError("store.conflict", where, detail, "Run again")
    if isinstance(error, psycopg.OperationalError) or state[:2] in {"08", "57", "58"}:
        # A refused connection carries no SQLSTATE, its text does not depend on the language of libpq.
        denied = re.search(
            r"password authentication failed|no pg_hba.conf entry|role .* does not exist", detail
        )
        if denied:
            return StoreError("store.denied", where, denied.group(), "Correct the database URL")
        if re.search(r'FATAL:  database ".*" does not exist', detail):
            return StoreError("store.no_database", where, *_BY_STATE["3D000"][1:3])
        return StoreError("store.unreachable", where, _first(detail), "Start the database and run again")
    if isinstance(error, psycopg.DataError):
        return StoreError("store.text", where, _first(detail), "Correct the value")
    return StoreError("store.query", where, _first(detail), "This is an error of the program")


def _first(detail: str) -> str:
    lines = [line.strip() for line in detail.splitlines() if line.strip()]
    return lines[0] if lines else "it closed the connection"


# -- writes -------------------------------------------------------------------------------------------


def _sql(query: str) -> sql.SQL:
    # Queries are constants of this package; values travel as parameters.
    return sql.SQL(query)


def _write(cursor: _Cursor, write: Write) -> int:
    if isinstance(write, Statement):
        return cursor.execute(_sql(write.query), write.params).rowcount
    if not isinstance(write, Copy):
        return write(cursor)
    stage = f"stage_{write.table}"
    _stage(cursor, write, stage)
    for statement in write.before:
        cursor.execute(_sql(statement.query.replace("{stage}", stage)), statement.params)
    changed = cursor.execute(_sql(_merge(write, stage))).rowcount
    # Two copies into one table in one commit must not meet.
    cursor.execute(_sql(f"TRUNCATE {stage}"))
    return changed


def _stage(cursor: _Cursor, write: Copy, stage: str) -> None:
    names = ", ".join(write.columns)
    # Made once a session: a temporary table per batch would fill the system catalogue.
    columns = ", ".join(f"{name} {kind}" for name, kind in write.columns.items())
    cursor.execute(_sql(f"CREATE TEMP TABLE IF NOT EXISTS {stage} ({columns}) ON COMMIT DELETE ROWS"))
    kinds = list(write.columns.values())
    if "vector" in kinds:
        _register_vector(cursor)
    with cursor.copy(_sql(f"COPY {stage} ({names}) FROM STDIN (FORMAT BINARY)")) as copy:
        copy.set_types(kinds)
        for row in write.rows:
            copy.write_row(row)


def _merge(write: Copy, stage: str) -> str:
    names, key = ", ".join(write.columns), ", ".join(write.key)
    conflict = write.conflict or f"({key})"
    extra = dict(write.extra or {})
    if not write.update and not extra:
        return (
            f"INSERT INTO {write.table} ({names}) SELECT {names} FROM {stage} ORDER BY ctid "
            f"ON CONFLICT {conflict} DO NOTHING"
        )
    sets = {name: f"excluded.{name}" for name in write.update} | extra
    old, new = ", ".join(f"t.{name}" for name in sets), ", ".join(sets.values())
    return (
        f"INSERT INTO {write.table} AS t ({names}) "
        f"SELECT DISTINCT ON ({key}) {names} FROM {stage} ORDER BY {key}, ctid DESC "
        f"ON CONFLICT {conflict} DO UPDATE SET {', '.join(f'{n} = {e}' for n, e in sets.items())} "
        f"WHERE ROW({old}) IS DISTINCT FROM ROW({new})"
    )


def _register_vector(cursor: _Cursor) -> None:
    if cursor.adapters.types.get("vector") is not None:
        return
    from pgvector.psycopg.vector import register_vector_info

    info = TypeInfo.fetch(cursor.connection, "vector")
    # A cursor copies the types of its connection when it is made, so both learn this one.
    register_vector_info(cursor.connection, info)
    register_vector_info(cursor, info)  # type: ignore[arg-type]  # any adapt context will do
