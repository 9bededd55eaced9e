"""Runs, queue and pools of Dagster."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pvm_api.metrics.servers import ServerMetrics
from pvm_core.errors import StoreError
from pvm_resources.monitoring.dagster_figures import DagsterFigures, OpenRuns


class DagsterMetrics(Collector):
    """Read from Dagster's database; without it, none of them: `database_up` says so.

    Args:
        servers: knows where that database is.
    """

    def __init__(self, servers: ServerMetrics) -> None:
        self._servers = servers

    def collect(self) -> Iterator[Metric]:
        """Every metric once."""
        try:
            figures = DagsterFigures(self._servers.dagster())
            found = list(_families(figures)) if figures.made() else []
        except StoreError:
            return
        yield from found


def _families(figures: DagsterFigures) -> Iterator[Metric]:
    runs = GaugeMetricFamily("dagster_runs", "Runs by status", labels=["status"])
    for status, count in sorted(figures.runs().items()):
        runs.add_metric([status], count)
    yield runs
    yield from _open(figures.open_runs())
    waits = GaugeMetricFamily(
        "dagster_queue_wait_seconds",
        "Seconds from the making of a run to its start, over the runs of a day",
        labels=["quantile"],
    )
    for quantile, seconds in figures.queue_waits().items():
        waits.add_metric([str(quantile)], seconds)
    yield waits
    yield GaugeMetricFamily(
        "dagster_last_dequeue_timestamp_seconds",
        "When a run last left the queue; 0: never",
        value=figures.last_dequeue(),
    )
    slots = GaugeMetricFamily("dagster_pool_slots", "Slots of pools", labels=["pool", "state"])
    for pool in figures.pools():
        for state in ("free", "used", "held_by_ended"):
            slots.add_metric([pool.pool, state], getattr(pool, state))
    yield slots


def _open(found: list[OpenRuns]) -> Iterator[Metric]:
    ages = GaugeMetricFamily(
        "dagster_open_runs", "Runs that have not ended, by status and age up to", labels=["status", "age"]
    )
    oldest = GaugeMetricFamily(
        "dagster_oldest_open_run_seconds", "Age of the oldest run of a status", labels=["status"]
    )
    for one in found:
        for age, count in one.ages.items():
            ages.add_metric([one.status, age], count)
        oldest.add_metric([one.status], one.oldest_s)
    yield from (ages, oldest)
