"""The handles that routes use: one set per application."""

from __future__ import annotations

from fastapi import Request

from pvm_api.auth import Gate
from pvm_api.paging import Cursors
from pvm_api.thumbnails import Thumbnails
from pvm_resources.http.address_policy import AddressPolicy, AllowList
from pvm_resources.intake import Places
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings, load_policies
from pvm_resources.store import Store


class Services:
    """Handles of one application over these stores; made without connecting."""

    def __init__(self, settings: Settings, database: Database, media: MediaStore, gate: Gate) -> None:
        self.settings = settings
        self.media = media
        self.gate = gate
        self.store = Store.over(database)
        self.places = Places.of(settings)
        allow = AllowList.parse(settings.callback_allow, "CALLBACK_ALLOWED_HOSTS")
        self.callback_addresses = AddressPolicy(allow)
        self.cursors = Cursors(lambda: self.store.keys.secret("cursors"))
        self.policies = load_policies(settings)
        self.labels = self.store.labels(self.policies)
        self.thumbnails = Thumbnails(media)

    def base(self, request: Request) -> str:
        """The address under which callers reach us, without a final slash."""
        return (self.settings.api_url or str(request.base_url)).rstrip("/")


def services(request: Request) -> Services:
    """The dependency: handles of the application that answers `request`."""
    found: Services = request.app.state.services
    return found
