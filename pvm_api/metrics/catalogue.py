"""The living catalogue: streams that products' changes come from, as their consumers told it."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from pvm_resources.store.assembly import Store


class CatalogueMetrics(Collector):
    """Read from the platform's database."""

    def __init__(self, store: Store) -> None:
        self._streams = store.stream_progress

    def collect(self) -> Iterator[Metric]:
        """Every metric once."""
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
