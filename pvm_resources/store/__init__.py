"""Typed access to the tables: one class per part of the schema, all over one `Database`."""

from __future__ import annotations

from dataclasses import dataclass

from pvm_resources.postgres.driver import Database
from pvm_resources.store.catalogue import Catalogue
from pvm_resources.store.features import Features
from pvm_resources.store.industries import Industries
from pvm_resources.store.jobs import Jobs
from pvm_resources.store.matching import Matching
from pvm_resources.store.outbox import Outbox
from pvm_resources.store.state import State
from pvm_resources.store.videos import Videos


@dataclass(frozen=True)
class Repositories:
    """All repositories over one database."""

    database: Database
    industries: Industries
    jobs: Jobs
    catalogue: Catalogue
    videos: Videos
    features: Features
    matching: Matching
    state: State
    outbox: Outbox

    @classmethod
    def over(cls, database: Database) -> Repositories:
        """Repositories that share `database`."""
        parts = (Industries, Jobs, Catalogue, Videos, Features, Matching, State, Outbox)
        return cls(database, *(part(database) for part in parts))  # type: ignore[arg-type]


__all__ = [
    "Catalogue",
    "Features",
    "Industries",
    "Jobs",
    "Matching",
    "Outbox",
    "Repositories",
    "State",
    "Videos",
]
