"""What the routes work with: one set of open handles per application."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from pvm_api.auth import Gate
from pvm_api.paging import Cursors
from pvm_api.thumbnails import Thumbnails
from pvm_jobs.source_policy import Policies
from pvm_resources.http.address_policy import AddressPolicy, AllowList
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings, load_policies
from pvm_resources.sources.admission import Places
from pvm_resources.store import Store
from pvm_resources.store.labels import Labels


@dataclass(frozen=True)
class Services:
    """Handles of one application; made without connecting."""

    settings: Settings
    store: Store
    media: MediaStore
    places: Places
    callback_addresses: AddressPolicy
    gate: Gate
    cursors: Cursors
    policies: Policies
    labels: Labels
    thumbnails: Thumbnails

    @classmethod
    def over(cls, settings: Settings, database: Database, media: MediaStore, gate: Gate) -> Services:
        """Handles over these stores."""
        store, policies = Store.over(database), load_policies(settings)
        allow = AllowList.parse(settings.callback_allow, "CALLBACK_ALLOWED_HOSTS")
        return cls(
            settings,
            store,
            media,
            Places.of(settings),
            AddressPolicy(allow),
            gate,
            Cursors(lambda: store.keys.secret("cursors")),
            policies,
            store.labels(policies),
            Thumbnails(media),
        )

    def base(self, request: Request) -> str:
        """The address under which callers reach us, without a final slash."""
        return (self.settings.api_url or str(request.base_url)).rstrip("/")


def services(request: Request) -> Services:
    """The dependency: handles of the application that answers `request`."""
    found: Services = request.app.state.services
    return found
