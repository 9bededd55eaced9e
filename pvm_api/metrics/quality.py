"""How right what is accepted is, what the index of vectors finds, and whether purges keep up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pvm_api.metrics.kept import Kept
from pvm_resources.retention.overdue import overdue_s
from pvm_resources.settings import Settings, load_policies
from pvm_resources.store.assembly import Store
from pvm_resources.store.labels import Tally
from pvm_resources.vectors.pgvector import PgVectorStore, Recall

#: Seconds for which verdicts and ages are counted once, and vectors searched once.
_COUNTED_S: Final = 60.0
_SEARCHED_S: Final = 3_600.0


class QualityMetrics(Collector):
    """Read from the platform's database."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._policies = load_policies(settings)
        self._tallies = Kept(self._count_verdicts, _COUNTED_S)
        self._overdue = Kept(lambda: overdue_s(store.database, self._policies), _COUNTED_S)
        self._recalls = Kept(self._search, _SEARCHED_S)

    def collect(self) -> Iterator[Metric]:
        """Every metric once."""
        yield from _verdicts(self._tallies())
        recall = GaugeMetricFamily(
            "vector_recall", "Share of the 20 nearest products that the index finds", labels=["model"]
        )
        for model, found in self._recalls().items():
            recall.add_metric([model], found.share)
        yield recall
        late = GaugeMetricFamily(
            "purge_overdue_seconds", "Seconds that material outlived its source's terms", labels=["source"]
        )
        for source, seconds in sorted(self._overdue().items()):
            late.add_metric([source], seconds)
        yield late

    def _count_verdicts(self) -> dict[str, Tally]:
        """Industry -> verdicts on the matches of its job that completed last."""
        jobs = self._store.schedules.last_completed()
        tallies = self._store.labels(self._policies).tallies(sorted(jobs.values()))
        return {industry: tallies[job] for industry, job in sorted(jobs.items())}

    def _search(self) -> dict[str, Recall]:
        """Model -> recall of its index, where vectors are in PostgreSQL."""
        if self._settings.vector_store_type != "pgvector":
            return {}
        stores = {
            row.model_key: PgVectorStore(
                self._store.database, row.model_key, dimension=self._settings.vector_dimension,
                index_name=self._settings.vector_index_name,
            )
            for row in self._store.text_vectors.models()
        }  # fmt: skip
        measured = {model: store.recall() for model, store in stores.items()}
        return {model: found for model, found in measured.items() if found is not None}


def _verdicts(tallies: dict[str, Tally]) -> Iterator[Metric]:
    judged = GaugeMetricFamily(
        "accepted_judged",
        "Accepted matches of the latest job with a verdict of yes or no",
        labels=["industry"],
    )
    precision = GaugeMetricFamily("accepted_precision", "Share of those that are right", labels=["industry"])
    bound = GaugeMetricFamily(
        "accepted_precision_lower_bound", "Its one-sided 95 % lower bound", labels=["industry"]
    )
    for industry, tally in tallies.items():
        judged.add_metric([industry], tally.known)
        if tally.precision is not None and tally.bound is not None:
            precision.add_metric([industry], tally.precision)
            bound.add_metric([industry], tally.bound)
    yield from (judged, precision, bound)
