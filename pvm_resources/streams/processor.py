"""Publishing to and consuming from any stream: the same care for each.

A change is acknowledged after its transaction, so a crash between the two delivers it again, and its version
makes the second time no change. What is refused for good, or was delivered too often without an end, becomes
a dead letter with its reason.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from pvm_core.errors import InputError, PvmError, StoreError
from pvm_jobs.text import dumps
from pvm_resources.streams.base import BATCH, BLOCK_MS, CONSUMER, Depth, Entry, Handler, Stream

_LOG = logging.getLogger("pvm.stream")
#: An entry handed out more often comes alone: it may be what ended the consumers before.
_ALONE: Final = 3
#: An entry handed out more often is given up. A delete waits for a running job by being handed out again.
_MOST: Final = 50
#: Seconds to wait after failures, the longest for all further ones.
_PAUSES_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
#: Seconds that consumers have to end.
STOP_S: Final = 5.0
#: Seconds between two measurements of what waits.
_DEPTH_S: Final = 5.0


@dataclass(frozen=True)
class Progress:
    """What came of a consumer's work since it told the last time.

    Attributes:
        handled, refused: events applied, and made dead letters.
        failed: batches that have to be tried again.
        batches, seconds: batches done and the time they took.
        depth: None where it was not measured.
    """

    handled: int = 0
    refused: int = 0
    failed: int = 0
    batches: int = 0
    seconds: float = 0.0
    depth: Depth | None = None


class Observe(Protocol):
    """Hears of consumers' progress."""

    def __call__(self, consumer: str, one: Progress) -> None:
        """What came of a consumer's work since the last time."""

    def finish(self) -> None:
        """The consumers have ended."""


class ProductEventProcessor:
    """See `EventProcessor`.

    Args:
        connect: opens a connection to the stream, one for each thread.
        consumer: names consumers, ``{}`` what tells them apart.
        batch, block_ms: entries read at once, and how long a read waits for one.
        observe: hears of each consumer's progress, by its name.
    """

    def __init__(
        self,
        connect: Callable[[], Stream],
        *,
        consumer: str = CONSUMER,
        batch: int = BATCH,
        block_ms: int = BLOCK_MS,
        observe: Observe | None = None,
    ) -> None:
        self._connect = connect
        self._name = consumer
        self._batch = batch
        self._block_ms = block_ms
        self._observe = observe
        self._handler: Handler | None = None
        self._consumers: list[Consumer] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._publisher: Stream | None = None
        self._last = datetime.min.replace(tzinfo=UTC)

    # -- publishing ---------------------------------------------------------------------------------

    def publish_product_created(self, product_data: Mapping[str, Any]) -> str | None:
        """See `EventProcessor`."""
        given = product_data.get("id")
        return self._publish("create", "" if given is None else str(given), product_data)

    def publish_product_updated(self, product_id: str, update_data: Mapping[str, Any]) -> str | None:
        """See `EventProcessor`."""
        return self._publish("update", product_id, update_data)

    def publish_product_deleted(self, product_id: str) -> str | None:
        """See `EventProcessor`."""
        return self._publish("delete", product_id, {"id": product_id})

    def _publish(self, kind: str, product_id: str, data: Mapping[str, Any]) -> str | None:
        if not product_id:
            _LOG.error("a change was not published: it names no product")
            return None
        with self._lock:
            event = {
                "event_type": kind, "product_id": product_id, "timestamp": self._now().isoformat(),
                "data": dumps(data), "event_id": str(uuid.uuid4()),
            }  # fmt: skip
            try:
                if self._publisher is None:
                    self._publisher = self._connect()
                return self._publisher.publish(event)
            except StoreError as error:
                _LOG.error("the %s of product %s was not published: %s", kind, product_id[:80], error)
                if self._publisher is not None:
                    self._publisher.close()
                    self._publisher = None
                return None

    def _now(self) -> datetime:
        # Two changes of one microsecond would have no order.
        self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        return self._last

    # -- consuming ----------------------------------------------------------------------------------

    def set_event_handler(self, handler: Handler) -> None:
        """See `EventProcessor`."""
        self._handler = handler

    def start_consumer(self, consumer_id: str | None = None) -> str:
        """See `EventProcessor`.

        Raises:
            StoreError: ``stream.handler``: there is none.
        """
        if self._handler is None:
            raise StoreError("stream.handler", "the stream", "it has no handler", "Set one before")
        name = consumer_id or self._name.format(
            f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        )
        self._stop.clear()
        one = Consumer(
            name, self._connect, self._handler, self._stop, self._batch, self._block_ms, self._observe
        )
        self._consumers.append(one)
        one.start()
        return name

    def stop_consumer(self) -> bool:
        """See `EventProcessor`."""
        self._stop.set()
        deadline = time.monotonic() + STOP_S
        for one in self._consumers:
            one.join(max(0.0, deadline - time.monotonic()))
        self._consumers = [one for one in self._consumers if one.is_alive()]
        return not self._consumers

    @property
    def healthy(self) -> bool:
        """Whether every consumer that was started is at work."""
        return all(one.is_alive() for one in self._consumers)

    # -- dead letters -------------------------------------------------------------------------------

    def stream(self) -> Stream:
        """A connection of the caller's own, e.g. for dead letters."""
        return self._connect()

    def close(self) -> None:
        """Ends consumers and connections."""
        self.stop_consumer()
        if self._observe is not None:
            self._observe.finish()
        with self._lock:
            if self._publisher is not None:
                self._publisher.close()
                self._publisher = None


class Consumer(threading.Thread):
    """Reads, has handled, acknowledges, until it is to stop. Outlives the stream's and the database's
    restarts; an error of the program ends it, and what it held goes to another."""

    def __init__(
        self,
        name: str,
        connect: Callable[[], Stream],
        handler: Handler,
        stop: threading.Event,
        batch: int,
        block_ms: int,
        observe: Observe | None,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._connect = connect
        self._handler = handler
        self._stopped = stop
        self._batch = batch
        self._block_ms = block_ms
        self._observe = observe
        self._measured = 0.0

    def run(self) -> None:
        """Works until it is to stop."""
        failures = 0
        while not self._stopped.is_set():
            try:
                with closing(self._connect()) as stream:
                    while not self._stopped.is_set():
                        self._turn(stream)
                        failures = 0
            except StoreError as error:
                if not error.retryable:
                    raise
                self._pause(failures, error)
                failures += 1

    def _turn(self, stream: Stream) -> None:
        entries = stream.read(self.name, self._batch, self._block_ms)
        for entry in [one for one in entries if one.deliveries > _MOST]:
            stream.bury(entry, f"it was handed out {entry.deliveries - 1} times and never came to an end")
        entries = [one for one in entries if one.deliveries <= _MOST]
        suspect = [[one] for one in entries if one.deliveries > _ALONE]
        for batch in (*suspect, [one for one in entries if one.deliveries <= _ALONE]):
            if batch:
                self._done(stream, batch)
        now = time.monotonic()
        if self._observe is not None and now - self._measured > _DEPTH_S:
            self._measured = now
            self._observe(self.name, Progress(depth=stream.depth()))

    def _done(self, stream: Stream, batch: Sequence[Entry]) -> None:
        """Has a batch handled, as often as it takes; nothing of it is acknowledged before."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                results = self._handler([one.ordered for one in batch])
                break
            except PvmError as error:
                if not error.retryable and len(batch) == 1:
                    results = [InputError(error.code, error.subject, error.reason, error.remedy)]
                    break
                if not error.retryable:
                    for one in batch:
                        self._done(stream, [one])
                    return
                self._tell(Progress(failed=1))
                self._pause(failures, error)
                failures += 1
                if self._stopped.is_set():
                    return
        self._settle(stream, batch, results, time.monotonic() - began)

    def _settle(
        self, stream: Stream, batch: Sequence[Entry], results: Sequence[InputError | None], seconds: float
    ) -> None:
        pairs = list(zip(batch, results, strict=True))
        stream.acknowledge([entry for entry, error in pairs if error is None])
        stream.postpone([entry for entry, error in pairs if error is not None and error.retryable])
        refused = [(entry, error) for entry, error in pairs if error is not None and not error.retryable]
        for entry, error in refused:
            _LOG.warning("entry %s is a dead letter: %s", entry.entry_id, error)
            stream.bury(entry, str(error))
        handled = sum(error is None for error in results)
        self._tell(Progress(handled=handled, refused=len(refused), batches=1, seconds=seconds))

    def _tell(self, progress: Progress) -> None:
        if self._observe is not None:
            self._observe(self.name, progress)

    def _pause(self, failures: int, error: PvmError) -> None:
        _LOG.warning("%s waits: %s", self.name, error)
        self._stopped.wait(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)])
