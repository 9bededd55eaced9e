"""What the routes work with: one set of open handles per application."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from pvm_api.auth import Gate
from pvm_api.paging import Cursors
from pvm_api.review.thumbs import Thumbnails
from pvm_resources.database import Database
from pvm_resources.fetch.guard import AllowList, Guard
from pvm_resources.intake import Places
from pvm_resources.media import MediaStore
from pvm_resources.policies import Policies, load_policies
from pvm_resources.repositories import Repositories
from pvm_resources.repositories.collecting import Collecting
from pvm_resources.repositories.inbox import Inbox
from pvm_resources.repositories.keys import Keys
from pvm_resources.repositories.labels import Labels
from pvm_resources.repositories.reading import Reading
from pvm_resources.repositories.reviewing import Reviewing
from pvm_resources.repositories.standing import Standing
from pvm_resources.settings import Settings


@dataclass(frozen=True)
class Services:
    """Handles of one application; made without connecting."""

    settings: Settings
    repos: Repositories
    inbox: Inbox
    keys: Keys
    reading: Reading
    standing: Standing
    collecting: Collecting
    media: MediaStore
    places: Places
    guard: Guard
    gate: Gate
    cursors: Cursors
    policies: Policies
    labels: Labels
    reviewing: Reviewing
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
            Reading(database),
            Standing(database),
            Collecting(database),
            media,
            Places.of(settings),
            Guard(allow),
            gate,
            Cursors(lambda: keys.secret("cursors")),
            policies,
            Labels(database, policies),
            Reviewing(database),
            Thumbnails(media),
        )

    def base(self, request: Request) -> str:
        """The address under which callers reach us, without a final slash."""
        return (self.settings.api_url or str(request.base_url)).rstrip("/")


def services(request: Request) -> Services:
    """The dependency: handles of the application that answers `request`."""
    found: Services = request.app.state.services
    return found
