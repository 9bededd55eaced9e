"""Streams that stay open: events of a job as they are committed, framed as server-sent events or websocket
messages of the same content."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from starlette.concurrency import run_in_threadpool

from pvm_api.problems import ApiError
from pvm_jobs.payloads import Outgoing, delivered, encode
from pvm_resources.events.live import LiveEvents

#: Seconds between two signs of life: proxies end connections on which nothing comes for a minute. So soon,
#: too, ends the stream of a caller whose key was revoked.
_BEAT_S: Final = 15.0
#: Streams of this process, and of one caller: a third of the connections that it may hold.
_TOTAL: Final = 250
_PER_CALLER: Final = 50
_RETRY_S: Final = 5


class Places:
    """A bounded number of open streams."""

    def __init__(self, total: int = _TOTAL, per_caller: int = _PER_CALLER) -> None:
        self._total = total
        self._per_caller = per_caller
        self._held: Counter[str] = Counter()

    @contextmanager
    def take(self, caller: str) -> Iterator[None]:
        """A place, while the block runs.

        Raises:
            ApiError: 503 ``live.busy``, with Retry-After.
        """
        if self._held.total() >= self._total or self._held[caller] >= self._per_caller:
            wait = str(_RETRY_S)
            remedy = f"Close some, or try again in {wait} s"
            raise ApiError("live.busy", "as many streams are open as may be", remedy, {"Retry-After": wait})
        self._held[caller] += 1
        try:
            yield
        finally:
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]


async def batches(
    live: LiveEvents, job_id: str, after: int, still: Callable[[], bool], beat_s: float = _BEAT_S
) -> AsyncIterator[list[Outgoing]]:
    """The job's new events past a place, as they come; an empty list is a sign of life.

    Args:
        still: whether the caller still may; asked at each sign of life, in a thread.
    """
    async with live.follow(job_id, after) as follower:
        while True:
            events = await follower.take(beat_s)
            if events:
                yield events
            elif follower.ended or not await run_in_threadpool(still):
                return
            else:
                yield []


def as_server_sent(events: list[Outgoing]) -> bytes:
    """Events as the HTML standard has them (server-sent events, section 9.2); none: a comment."""
    return b"".join(map(_server_sent, events)) or b":\n\n"


def _server_sent(event: Outgoing) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.seq, event.name.encode(), encode(delivered(event)))
