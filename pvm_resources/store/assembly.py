"""All tables of one database, assembled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_type_hints

from pvm_jobs.source_policy import Policies
from pvm_resources.postgres.driver import Database
from pvm_resources.store.api_keys import Keys
from pvm_resources.store.appearances import Appearances
from pvm_resources.store.attention import Attention
from pvm_resources.store.calibrations import Calibrations
from pvm_resources.store.catalogue import Catalogue
from pvm_resources.store.deliveries import Deliveries
from pvm_resources.store.endpoints import Endpoints
from pvm_resources.store.features import Features
from pvm_resources.store.galleries import Galleries
from pvm_resources.store.inbox import Inbox
from pvm_resources.store.industries import Industries
from pvm_resources.store.job_traces import JobTraces
from pvm_resources.store.jobs import Jobs
from pvm_resources.store.labels import Labels
from pvm_resources.store.match_queries import MatchQueries
from pvm_resources.store.matching import Matching
from pvm_resources.store.oauth_tokens import OAuthTokens
from pvm_resources.store.past_runs import PastRuns
from pvm_resources.store.product_changes import ProductChanges
from pvm_resources.store.product_queries import ProductQueries
from pvm_resources.store.quotas import Quotas
from pvm_resources.store.retention import Retention
from pvm_resources.store.review_queries import ReviewQueries
from pvm_resources.store.row_checks import RowChecks
from pvm_resources.store.schedules import Schedules
from pvm_resources.store.sessions import Sessions
from pvm_resources.store.source_runs import SourceRuns
from pvm_resources.store.state import State
from pvm_resources.store.stored_material import StoredMaterial
from pvm_resources.store.stream_progress import StreamProgress
from pvm_resources.store.text_vectors import TextVectors
from pvm_resources.store.uploads import Uploads
from pvm_resources.store.videos import Videos


@dataclass(frozen=True)
class Store:
    """All tables of one database; made without connecting."""

    database: Database
    industries: Industries
    jobs: Jobs
    inbox: Inbox
    schedules: Schedules
    catalogue: Catalogue
    galleries: Galleries
    videos: Videos
    source_runs: SourceRuns
    oauth_tokens: OAuthTokens
    quotas: Quotas
    features: Features
    matching: Matching
    calibrations: Calibrations
    state: State
    past_runs: PastRuns
    row_checks: RowChecks
    match_queries: MatchQueries
    product_queries: ProductQueries
    product_changes: ProductChanges
    text_vectors: TextVectors
    appearances: Appearances
    stored_material: StoredMaterial
    review_queries: ReviewQueries
    retention: Retention
    keys: Keys
    sessions: Sessions
    uploads: Uploads
    endpoints: Endpoints
    deliveries: Deliveries
    attention: Attention
    stream_progress: StreamProgress
    job_traces: JobTraces

    @classmethod
    def over(cls, database: Database) -> Store:
        """Tables that share `database`."""
        parts = {name: part for name, part in get_type_hints(cls).items() if part is not Database}
        return cls(database, **{name: part(database) for name, part in parts.items()})

    def labels(self, policies: Policies) -> Labels:
        """Labels, of which `policies` say what may be learnt from."""
        return Labels(self.database, policies)
