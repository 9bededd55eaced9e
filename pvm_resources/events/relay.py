"""The relay: delivers events from the outbox to endpoints until it is stopped.

It is a process of its own and not a Dagster sensor: a sensor runs every five seconds at best, ends after a
minute, and a slow receiver would delay the sensors beside it. The relay sleeps on PostgreSQL's
LISTEN, so an event leaves as soon as it is committed. Any number may run; what one claims no other touches.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import psycopg

from pvm_core.errors import StoreError
from pvm_jobs.delivery_policy import DeliveryAnswer, DeliveryDecision, next_delivery
from pvm_jobs.payloads import Outgoing
from pvm_resources.events.webhooks import Receiver, Sink
from pvm_resources.postgres.driver import Database, store_errors
from pvm_resources.store.deliveries import CHANNEL, LEASE_S, Deliveries, Stream
from pvm_resources.store.endpoints import Endpoints
from pvm_resources.store.job_traces import JobTraces
from pvm_resources.tracing import Tracing

_LOG = logging.getLogger("pvm.delivery")
#: Streams worked on side by side. An attempt waits on the network, not on this machine.
WORKERS: Final = 8
#: Events of one stream before the endpoint's other jobs are served.
_TURN: Final = 500
#: The longest and the shortest sleep between two queries, seconds.
_IDLE_S: Final = 5.0
_SHORT_S: Final = 0.2
#: How soon `stop` takes effect, seconds.
_STOP_S: Final = 0.5
#: After the database was out of reach, seconds.
_PAUSE_S: Final = 2.0
#: Seconds that attempts under way have when the relay ends; a service is killed after 15.
_GRACE_S: Final = 5.0


class Relay:
    """Delivers events.

    Args:
        database: at least `workers` + 2 connections.
        sinks: by endpoint kind; endpoints of other kinds are left to other relays.
        workers: threads.
        lease_s: seconds after which another relay takes over what this one held when it died.
        tracing: gets a span for each attempt, in the trace of the event's job.
    """

    def __init__(
        self,
        database: Database,
        sinks: Mapping[str, Sink],
        *,
        workers: int = WORKERS,
        lease_s: float = LEASE_S,
        tracing: Tracing | None = None,
    ) -> None:
        self._tracing = tracing or Tracing()
        self._traces = JobTraces(database)
        self.owner = uuid.uuid4()
        self._database = database
        self._deliveries = Deliveries(database)
        self._endpoints = Endpoints(database)
        self._sinks = dict(sinks)
        self._workers = workers
        self._lease_s = lease_s
        self._wakeup = threading.Condition()
        self._busy: Counter[uuid.UUID] = Counter()
        self._parallel: dict[uuid.UUID, int] = {}
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ends `run`: no new attempt begins, those under way get a few seconds to come to their end."""
        self._stop.set()
        with self._wakeup:
            self._wakeup.notify_all()

    def run(self) -> None:
        """Delivers until `stop`. Outlives the database's restarts.

        Raises:
            StoreError: the database cannot be used at all, e.g. it has another schema.
        """
        threads = [threading.Thread(target=self._work, name=f"delivery-{n}") for n in range(self._workers)]
        for thread in threads:
            thread.start()
        try:
            self._watch()
        finally:
            self.stop()
            deadline = time.monotonic() + _GRACE_S
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            for sink in self._sinks.values():
                sink.close()
            self.close()
            for thread in threads:
                thread.join()
            self._release_all()

    def drain(self) -> int:
        """One pass in this thread: everything that is due now. Returns the number of attempts."""
        attempts = 0
        try:
            while self._deliveries.fan_out():
                pass
            while (stream := self._claim()) is not None:
                try:
                    attempts += self._deliver(stream)
                finally:
                    self._end(stream)
        finally:
            self._release_all()
        return attempts

    def close(self) -> None:
        """Sends what traces still hold; `run` does so itself."""
        self._tracing.close()

    # -- the watching thread -----------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                with (
                    store_errors("the database"),
                    psycopg.connect(self._database.dsn, autocommit=True) as listener,
                ):
                    listener.execute(f"LISTEN {CHANNEL}")
                    self._attend(listener)
            except StoreError as error:
                if not error.retryable:
                    raise
                _LOG.warning("delivery waits for the database: %s", error)
                self._stop.wait(_PAUSE_S)

    def _attend(self, listener: psycopg.Connection[tuple[object, ...]]) -> None:
        renewed = time.monotonic()
        while not self._stop.is_set():
            taken = self._deliveries.fan_out()
            due = self._deliveries.due_in(self.owner, list(self._sinks))
            if taken or (due is not None and due <= 0):
                with self._wakeup:
                    self._wakeup.notify_all()
            if time.monotonic() - renewed > self._lease_s / 4:
                self._deliveries.renew(self.owner, self._lease_s)
                renewed = time.monotonic()
            if not taken:
                longest = min(_IDLE_S, self._lease_s / 4)
                self._sleep(listener, longest if due is None else min(max(due, _SHORT_S), longest))

    def _sleep(self, listener: psycopg.Connection[tuple[object, ...]], seconds: float) -> None:
        """Waits for a notification, at most that long; `stop` ends it."""
        until = time.monotonic() + seconds
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            for _ in listener.notifies(timeout=min(left, _STOP_S), stop_after=1):
                return

    # -- the delivering threads --------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                stream = self._claim()
                if stream is None:
                    with self._wakeup:
                        self._wakeup.wait(_IDLE_S)
                    continue
                try:
                    self._deliver(stream)
                finally:
                    self._end(stream)
            except StoreError as error:
                # What was sent and could not be recorded is sent again once the lease has expired.
                _LOG.warning("delivery waits for the database: %s", error)
                self._stop.wait(_PAUSE_S)

    def _claim(self) -> Stream | None:
        with self._wakeup:
            full = [e for e, count in self._busy.items() if count >= self._parallel.get(e, 1)]
            stream = self._deliveries.claim(self.owner, list(self._sinks), busy=full, lease_s=self._lease_s)
            if stream is not None:
                self._busy[stream.endpoint_id] += 1
        return stream

    def _end(self, stream: Stream) -> None:
        with self._wakeup:
            self._busy[stream.endpoint_id] -= 1
            if not self._busy[stream.endpoint_id]:
                del self._busy[stream.endpoint_id]
            self._wakeup.notify()
        self._deliveries.release(self.owner, stream)

    def _deliver(self, stream: Stream) -> int:
        """Sends the stream's events until one has to wait, none is left, or it is another's turn."""
        endpoint = self._endpoints.find(stream.endpoint_id)
        if endpoint is None:
            return 0
        sink = self._sinks[endpoint.kind]
        self._parallel[endpoint.endpoint_id] = sink.parallel
        trace = self._traces.of(stream.job_id) if self._tracing.on else None
        attempts = 0
        while attempts < _TURN and not self._stop.is_set():
            events = self._deliveries.waiting(stream, sink.batch)
            if not events:
                break
            receiver = Receiver(endpoint.kind, endpoint.url, endpoint.secrets(datetime.now(UTC)))
            answers = self._send(sink, receiver, events, trace)
            attempts += len(answers)
            results = [_result(receiver, e, a) for e, a in zip(events, answers, strict=False)]
            if not self._deliveries.record(self.owner, stream, results):
                _log_failure(endpoint.name, events[len(answers) - 1], results[-1])
                break
        return attempts

    def _send(
        self, sink: Sink, receiver: Receiver, events: Sequence[Outgoing], trace: str | None
    ) -> list[DeliveryAnswer]:
        attributes = {"pvm.job_id": events[0].job_id, "pvm.event_id": str(events[0].event_id)}
        name = f"deliver {events[0].name}"
        with self._tracing.span(name, parent=trace, kind="producer", attributes=attributes) as span:
            answers = sink.send(receiver, events)
            span.note({"pvm.endpoint_kind": receiver.kind, "pvm.events": len(answers)})
            if answers and answers[-1].error:
                span.fail(answers[-1].error)
        return answers

    def _release_all(self) -> None:
        try:
            self._deliveries.release_all(self.owner)
        except StoreError as error:
            _LOG.warning("leases run out by themselves: %s", error)


def _result(
    receiver: Receiver, event: Outgoing, answer: DeliveryAnswer
) -> tuple[uuid.UUID, DeliveryAnswer, DeliveryDecision]:
    return event.event_id, answer, next_delivery(receiver.kind, event.attempts, event.conflicts, answer)


def _log_failure(
    endpoint: str, event: Outgoing, result: tuple[uuid.UUID, DeliveryAnswer, DeliveryDecision]
) -> None:
    _, answer, decision = result
    what = {"retry": f"again in {decision.delay_s:g} s", "gone": "the endpoint is disabled"}.get(
        decision.state, decision.state
    )
    _LOG.warning("%s of job %s to %s: %s; %s", event.name, event.job_id, endpoint, answer.error, what)
