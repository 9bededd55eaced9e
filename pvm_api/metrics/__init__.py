"""Metrics for Prometheus: those of the platform are read from the databases at each scrape, so that every
process shows the same; those of requests are this process's own."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, generate_latest

from pvm_api.metrics.catalogue import CatalogueMetrics
from pvm_api.metrics.dagster_runs import DagsterMetrics
from pvm_api.metrics.platform import PlatformMetrics
from pvm_api.metrics.quality import QualityMetrics
from pvm_api.metrics.requests import RequestMetrics
from pvm_api.metrics.servers import ServerMetrics
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """All metrics of one application. Made without connecting.

    Attributes:
        requests: counts what the application answers.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._servers = ServerMetrics(settings, store.database)
        self.requests = RequestMetrics(self._registry)
        for collector in (
            PlatformMetrics(store), CatalogueMetrics(store), QualityMetrics(settings, store),
            self._servers, DagsterMetrics(self._servers),
        ):  # fmt: skip
            self._registry.register(collector)

    def text(self) -> bytes:
        """In Prometheus's text format.

        Raises:
            StoreError: the platform's database is out of reach.
        """
        return generate_latest(self._registry)

    def close(self) -> None:
        """Closes what scrapes opened."""
        self._servers.close()
