"""New events as they are committed, for whoever follows a job: one connection listens for all of them.

Everything is read from the outbox after a notification of PostgreSQL, so a follower that comes back with the
place it had misses nothing, and gets what a webhook gets.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import psycopg

from pvm_core.errors import StoreError
from pvm_jobs.payloads import Outgoing
from pvm_resources.store.deliveries import CHANNEL

_LOG = logging.getLogger("pvm.live")
#: The longest sleep between two looks into the outbox, should a notification be lost, and the shortest, so
#: that the thousand events of a busy job cost a few looks; seconds.
_IDLE_S: Final = 30.0
_SHORT_S: Final = 0.2
#: After the database was out of reach, seconds.
_PAUSE_S: Final = 2.0

#: New events of jobs: job -> place in the outbox that they come after.
Read = Callable[[Mapping[str, int]], list[Outgoing]]


@dataclass(eq=False)
class Follower:
    """One who follows a job.

    Attributes:
        after: place in the outbox of the last event it was given.
        ended: the server stops; nothing comes any more.
    """

    job_id: str
    after: int
    ended: bool = False
    _waiting: list[Outgoing] = field(default_factory=list)
    _fresh: asyncio.Event = field(default_factory=asyncio.Event)
    _taken: Callable[[], None] = lambda: None

    async def take(self, seconds: float) -> list[Outgoing]:
        """The next events, in order; none where none comes within that time, or all has ended."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._fresh.wait(), seconds)
        found, self._waiting = self._waiting, []
        if not self.ended:
            self._fresh.clear()
        self._taken()
        return found

    @property
    def hungry(self) -> bool:
        """Whether it has taken what it was given: a slow one holds one batch in memory, and no more."""
        return not self._waiting

    def give(self, events: list[Outgoing]) -> None:
        """Gives it events of its job past its place."""
        fresh = [event for event in events if event.seq > self.after]
        if fresh:
            self._waiting, self.after = fresh, fresh[-1].seq
            self._fresh.set()

    def end(self) -> None:
        """Nothing comes any more."""
        self.ended = True
        self._fresh.set()


class LiveEvents:
    """Gives followers their jobs' new events. It belongs to one event loop, and is connected only while
    somebody follows.

    Args:
        dsn: of the database.
        read: new events of jobs; it is called in a thread.
    """

    def __init__(self, dsn: str, read: Read) -> None:
        self._dsn = dsn
        self._read = read
        self._followers: set[Follower] = set()
        self._stirred = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = False

    @asynccontextmanager
    async def follow(self, job_id: str, after: int) -> AsyncIterator[Follower]:
        """Follows a job from a place in the outbox on, while the block runs."""
        follower = Follower(job_id, after, ended=self._over, _taken=self._stirred.set)
        self._followers.add(follower)
        self._loop = asyncio.get_running_loop()
        self._stirred.set()
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._run())
        try:
            yield follower
        finally:
            self._followers.discard(follower)
            if not self._followers and self._task is not None:
                self._task.cancel()
                self._task = None

    @property
    def following(self) -> int:
        """How many follow."""
        return len(self._followers)

    def end(self) -> None:
        """Ends every follower, now and later; from any thread or signal handler."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end)
        self._over = True

    def _end(self) -> None:
        for follower in self._followers:
            follower.end()

    async def _run(self) -> None:
        while True:
            try:
                await self._attend()
            except* (StoreError, psycopg.Error, OSError) as errors:
                _LOG.warning("live updates wait for the database: %s", errors.exceptions[0])
            await asyncio.sleep(_PAUSE_S)

    async def _attend(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            # What was committed before it listened is looked for at once.
            self._stirred.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear(connection))
                tasks.create_task(self._hand_out())

    async def _hear(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        async for _ in connection.notifies():
            self._stirred.set()

    async def _hand_out(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stirred.wait(), _IDLE_S)
            self._stirred.clear()
            hungry = [follower for follower in self._followers if follower.hungry]
            places: dict[str, int] = {}
            for one in hungry:
                places[one.job_id] = min(one.after, places.get(one.job_id, one.after))
            found = await asyncio.to_thread(self._read, places) if places else []
            for follower in hungry:
                follower.give([event for event in found if event.job_id == follower.job_id])
            if found:
                # One look takes a bounded number: there may be more.
                self._stirred.set()
            await asyncio.sleep(_SHORT_S)
