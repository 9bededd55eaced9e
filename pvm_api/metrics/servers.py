"""PostgreSQL's servers: whether they answer, and their connections against what they may have."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pvm_core.errors import StoreError
from pvm_resources.monitoring.connections import Connections, connections
from pvm_resources.postgres.connect import dagster_url
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings


class ServerMetrics(Collector):
    """Of the server of our tables (``pvm``) and of Dagster's (``dagster``), which may be one and the same.

    Args:
        database: ours.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._lock = threading.Lock()
        self._dagster: Database | None = None

    def dagster(self) -> Database:
        """Dagster's database, of which one connection is kept.

        Raises:
            StoreError: the embedded server of this home was never started.
        """
        with self._lock:
            if self._dagster is None:
                self._dagster = Database(dagster_url(self._settings), max_connections=1)
            return self._dagster

    def close(self) -> None:
        """Closes that connection."""
        with self._lock:
            found, self._dagster = self._dagster, None
        if found is not None:
            found.close()

    def collect(self) -> Iterator[Metric]:
        """Every metric once. Ours being out of reach ends the scrape, Dagster's is said."""
        up = GaugeMetricFamily("database_up", "Whether the database answers", labels=["server"])
        used = GaugeMetricFamily(
            "database_connections", "Connections of clients", labels=["server", "database"]
        )
        limit = GaugeMetricFamily(
            "database_connections_limit", "Connections that clients may have", labels=["server"]
        )
        found: dict[str, Connections | None] = {"pvm": connections(self._database), "dagster": None}
        try:
            found["dagster"] = connections(self.dagster())
        except StoreError:
            self.close()
        for server, one in found.items():
            up.add_metric([server], one is not None)
            if one is not None:
                limit.add_metric([server], one.limit)
                for database, count in one.used.items():
                    used.add_metric([server, database], count)
        yield from (up, used, limit)
