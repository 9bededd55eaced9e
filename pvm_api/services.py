"""What the routes work with: one set of open handles per application."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from pvm_api.auth import Gate
from pvm_api.paging import Cursors
from pvm_api.thumbnails import Thumbnails
from pvm_jobs.source_policy import Policies
from pvm_resources.http.address_policy import AddressPolicy, AllowList
from pvm_resources.intake import Places
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings, load_policies
from pvm_resources.store import Repositories
from pvm_resources.store.api_keys import Keys
from pvm_resources.store.inbox import Inbox
from pvm_resources.store.labels import Labels
from pvm_resources.store.match_queries import MatchQueries
from pvm_resources.store.review_queries import ReviewQueries
from pvm_resources.store.schedules import Schedules
from pvm_resources.store.source_runs import SourceRuns


@dataclass(frozen=True)
class Services:
    """Handles of one application; made without connecting."""

    settings: Settings
    repos: Repositories
    inbox: Inbox
    keys: Keys
    reading: MatchQueries
    standing: Schedules
    collecting: SourceRuns
    media: MediaStore
    places: Places
    guard: AddressPolicy
    gate: Gate
    cursors: Cursors
    policies: Policies
    labels: Labels
    reviewing: ReviewQueries
    thumbs: Thumbnails

    @classmethod
    def over(cls, settings: Settings, database: Database, media: MediaStore, gate: Gate) -> Services:
        """Handles over these stores."""
        keys = Keys(database)
        policies = load_policies(settings)
        allow = AllowList.parse(settings.callback_allow, "CALLBACK_ALLOWED_HOSTS")
        return cls(
            settings,
            Repositories.over(database),
            Inbox(database),
            keys,
            MatchQueries(database),
            Schedules(database),
            SourceRuns(database),
            media,
            Places.of(settings),
            AddressPolicy(allow),
            gate,
            Cursors(lambda: keys.secret("cursors")),
            policies,
            Labels(database, policies),
            ReviewQueries(database),
            Thumbnails(media),
        )

    def base(self, request: Request) -> str:
        """The address under which callers reach us, without a final slash."""
        return (self.settings.api_url or str(request.base_url)).rstrip("/")


def services(request: Request) -> Services:
    """The dependency: handles of the application that answers `request`."""
    found: Services = request.app.state.services
    return found
