"""Jobs, events, queues and stages."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from pvm_jobs.events import PHASES
from pvm_resources.store.assembly import Store
from pvm_resources.store.service_figures import ServiceFigures


class PlatformMetrics(Collector):
    """Read from the platform's database.

    Events are counted from where the last scrape had settled, so that a scrape costs the same however many
    there are.
    """

    def __init__(self, store: Store) -> None:
        self._reading = store.match_queries
        self._inbox = store.inbox
        self._deliveries = store.deliveries
        self._figures = ServiceFigures(store.database)
        self._lock = threading.Lock()
        self._settled = 0
        self._counted: Counter[str] = Counter()

    def collect(self) -> Iterator[Metric]:
        """Every metric once."""
        phases = GaugeMetricFamily("phase_state", "Jobs in each phase", labels=["phase"])
        counts = self._reading.phases()
        for phase in PHASES:
            phases.add_metric([phase], counts.get(phase, 0))
        yield phases
        failed = GaugeMetricFamily(
            "partitions_failed", "Partitions (jobs) that failed and need attention", labels=["code"]
        )
        for code, count in self._figures.failed_partitions().items():
            failed.add_metric([code], count)
        yield failed
        events = CounterMetricFamily("events", "Events written, by name", labels=["event_name"])
        for name, count in sorted(self._events().items()):
            events.add_metric([name], count)
        yield events
        yield from self._queues()
        yield from self._stages()

    def _stages(self) -> Iterator[Metric]:
        stages = SummaryMetricFamily(
            "stage_latency_seconds", "Seconds an asset took, over the jobs of a day", labels=["stage"]
        )
        for stage, jobs, seconds in self._reading.stage_seconds():
            stages.add_metric([stage], count_value=jobs, sum_value=seconds)
        yield stages
        pace = GaugeMetricFamily(
            "asset_items_per_second", "Items an asset computed a second, over the jobs of a day",
            labels=["asset"],
        )  # fmt: skip
        for work in self._figures.work():
            pace.add_metric([work.asset], work.items / work.seconds)
        yield pace
        runs, seconds = self._reading.start_seconds()
        yield SummaryMetricFamily(
            "start_latency_seconds",
            "Seconds from a request to the start of its run, over the runs of a day",
            count_value=runs,
            sum_value=seconds,
        )

    def _queues(self) -> Iterator[Metric]:
        depth = GaugeMetricFamily("queue_depth", "What waits, or failed for good", labels=["queue", "state"])
        open_requests = self._inbox.depth()
        for state in ("received", "claimed", "started"):
            depth.add_metric(["inbox", state], open_requests.get(state, 0))
        backlog = self._deliveries.backlog()
        depth.add_metric(["outbox", "waiting"], backlog.unseen)
        depth.add_metric(["deliveries", "waiting"], self._reading.waiting_deliveries())
        depth.add_metric(["deliveries", "dead"], self._figures.dead_deliveries())
        yield depth
        yield GaugeMetricFamily(
            "outbox_lag_seconds", "Age of the oldest event that no relay has assigned",
            value=backlog.unseen_s or 0.0,
        )  # fmt: skip
        yield GaugeMetricFamily(
            "delivery_lag_seconds", "Age of the oldest delivery that waits",
            value=self._figures.oldest_delivery_s(),
        )  # fmt: skip

    def _events(self) -> dict[str, int]:
        with self._lock:
            settled = self._reading.settled()
            if settled > self._settled:
                self._counted.update(self._reading.event_counts(self._settled, settled))
                self._settled = settled
            fresh = self._reading.event_counts(self._settled)
            return dict(self._counted + Counter(fresh))
