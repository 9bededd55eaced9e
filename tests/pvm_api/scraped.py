"""Metrics of the API, as Prometheus reads them."""

from __future__ import annotations

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families


def scraped(client: TestClient) -> dict[tuple[str, ...], float]:
    """Value by name and values of labels, in the order of the labels' names."""
    text = client.get("/metrics").raise_for_status().text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
