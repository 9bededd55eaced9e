"""Keeps restricted material out of Dagster's event log, which cannot be purged."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from urllib.parse import urlsplit

from pvm_assets.services import JobServices
from pvm_jobs.source_policy import Policies
from pvm_resources.settings import load_policies
from pvm_resources.store.retention import Restricted


class EventLogRedactor:
    """What of one job may enter the event log.

    Args:
        job_id: its sources are read once, at the first call.
    """

    def __init__(self, services: JobServices, job_id: str) -> None:
        self._services = services
        self._job_id = job_id

    @cached_property
    def policies(self) -> Policies:
        """What each source's terms allow on this machine."""
        return load_policies(self._services.settings)

    def restricted(self, keys: Sequence[str]) -> dict[str, Restricted]:
        """Those of the job's stored pictures that a source's terms limit: media key -> picture, as given."""
        sources, platforms = self._sources
        if not keys or not (sources or platforms):
            return {}
        listed = self._services.store.retention.restricted(self._job_id, sources, platforms, keys)
        found = {one.key: one for one in listed}
        return {key: found[key] for key in keys if key in found}

    def label(self, item: str) -> str:
        """An item's name for the event log: of an address only its host, where the job has a source whose
        terms limit how long addresses may be kept."""
        if not item.startswith(("https://", "http://")) or not any(self._sources):
            return item
        return f"a picture of {urlsplit(item).hostname or 'the net'}"

    @cached_property
    def _sources(self) -> tuple[list[str], list[str]]:
        sources, platforms = self._services.store.retention.sources_of(self._job_id)
        return (
            [name for name in sources if self.policies[name].restricted],
            [name for name in platforms if self.policies.of_platform(name).restricted],
        )
