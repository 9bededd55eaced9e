"""Metrics for Prometheus, read from the database at each scrape, so that every process shows the same."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from pvm_jobs.events import PHASES
from pvm_resources.store.inbox import Inbox
from pvm_resources.store.match_queries import MatchQueries
from pvm_resources.store.stream_progress import StreamProgress

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Collector):
    """The platform's metrics.

    Events are counted from where the last scrape had settled, so that a scrape costs the same however many
    there are.
    """

    def __init__(self, reading: MatchQueries, inbox: Inbox, streams: StreamProgress) -> None:
        self._reading = reading
        self._inbox = inbox
        self._streams = streams
        self._lock = threading.Lock()
        self._settled = 0
        self._counted: Counter[str] = Counter()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """In Prometheus's text format.

        Raises:
            StoreError: the database is out of reach.
        """
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Nothing: registering must not query the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every metric once."""
        phases = GaugeMetricFamily("phase_state", "Jobs in each phase", labels=["phase"])
        counts = self._reading.phases()
        for phase in PHASES:
            phases.add_metric([phase], counts.get(phase, 0))
        yield phases
        events = CounterMetricFamily("events", "Events written, by name", labels=["event_name"])
        for name, count in sorted(self._events().items()):
            events.add_metric([name], count)
        yield events
        yield from self._queues()
        yield from self._product_streams()
        stages = SummaryMetricFamily(
            "stage_latency_seconds", "Seconds an asset took, over the jobs of a day", labels=["stage"]
        )
        for stage, jobs, seconds in self._reading.stage_seconds():
            stages.add_metric([stage], count_value=jobs, sum_value=seconds)
        yield stages
        runs, seconds = self._reading.start_seconds()
        yield SummaryMetricFamily(
            "start_latency_seconds",
            "Seconds from a request to the start of its run, over the runs of a day",
            count_value=runs,
            sum_value=seconds,
        )

    def _queues(self) -> Iterator[Metric]:
        depth = GaugeMetricFamily("queue_depth", "What waits", labels=["queue", "state"])
        open_requests = self._inbox.depth()
        for state in ("received", "claimed", "started"):
            depth.add_metric(["inbox", state], open_requests.get(state, 0))
        depth.add_metric(["deliveries", "waiting"], self._reading.waiting_deliveries())
        yield depth

    def _product_streams(self) -> Iterator[Metric]:
        """Of streams that products' changes come from, as their consumers told it."""
        entries = GaugeMetricFamily(
            "product_stream_entries", "Entries not read (lag), not acknowledged (pending), given up (dead)",
            labels=["stream", "state"],
        )  # fmt: skip
        changes = CounterMetricFamily(
            "product_stream_changes",
            "Changes handled and refused, batches failed",
            labels=["stream", "outcome"],
        )
        seconds = SummaryMetricFamily(
            "product_stream_batch_seconds", "Seconds a batch of changes took", labels=["stream"]
        )
        for one in self._streams.totals():
            for state in ("lag", "pending", "dead"):
                if (count := getattr(one, state)) is not None:
                    entries.add_metric([one.kind, state], count)
            for outcome in ("handled", "refused", "failed"):
                changes.add_metric([one.kind, outcome], getattr(one, outcome))
            seconds.add_metric([one.kind], count_value=one.batches, sum_value=one.seconds)
        consumers = GaugeMetricFamily(
            "product_stream_consumers",
            "Consumers at work, and silent for a minute",
            labels=["stream", "state"],
        )
        for kind, (working, silent) in sorted(self._streams.consumers().items()):
            consumers.add_metric([kind, "working"], working)
            consumers.add_metric([kind, "silent"], silent)
        yield from (entries, changes, seconds, consumers)

    def _events(self) -> dict[str, int]:
        with self._lock:
            settled = self._reading.settled()
            if settled > self._settled:
                self._counted.update(self._reading.event_counts(self._settled, settled))
                self._settled = settled
            fresh = self._reading.event_counts(self._settled)
            return dict(self._counted + Counter(fresh))
