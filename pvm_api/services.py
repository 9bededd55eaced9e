"""The handles that routes use: one set per application."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final, Literal

from fastapi import Request

from pvm_api import models
from pvm_api.auth import Gate
from pvm_api.evidence import EvidencePictures
from pvm_api.live import Places as LivePlaces
from pvm_api.paging import Cursors
from pvm_api.remembered import Remembered
from pvm_api.slots import Slots
from pvm_api.thumbnails import Thumbnails
from pvm_api.uploads import Uploads
from pvm_core.scoring.verdict import Verdict
from pvm_resources.events.live import LiveEvents
from pvm_resources.http.address_policy import AddressPolicy, AllowList
from pvm_resources.living_catalogue import LivingCatalogue
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings, load_policies
from pvm_resources.sources.admission import Places
from pvm_resources.store.assembly import Store
from pvm_resources.store.labels import Label
from pvm_resources.store.match_queries import JobRow
from pvm_resources.store.records import Industry
from pvm_resources.text_follower import TextFollower
from pvm_resources.text_index import TextIndex
from pvm_resources.tracing import Tracing
from pvm_resources.vectors.factory import forgetting

if TYPE_CHECKING:
    from pvm_evaluation.industry_calibration import Proposal

#: Seconds for which what `/readyz` found is its answer.
_READY_S: Final = 1.0


def origins_of(settings: Settings) -> frozenset[str]:
    """Origins of browsers' pages that the API answers beside its own."""
    return frozenset(filter(None, map(str.strip, settings.api_cors.split(","))))


class Services:
    """Handles of one application over these stores; made without connecting."""

    def __init__(
        self, settings: Settings, database: Database, media: MediaStore, gate: Gate, tracing: Tracing
    ) -> None:
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
        self.readiness = Remembered[models.Ready](_READY_S)
        self.searches = Slots("search.busy", capacity=1, waiting=8, patience_s=20.0)
        self.estimates = Slots("estimate.busy", capacity=1, waiting=8, patience_s=60.0)
        self.origins = origins_of(settings)
        self.live = LiveEvents(database.dsn, self.store.attention.updates)
        self.live_places = LivePlaces()
        self.uploads = Uploads(settings, self.store.uploads, self.places.uploads)
        self.text_index = TextIndex(self.store, settings)
        gone = forgetting(settings, database)
        self.text_follower = TextFollower(self.text_index, tracing)
        self.catalogue = LivingCatalogue(self.store, media, gone, self.text_follower, tracing)
        self.evidence = EvidencePictures(media, self.store, self.policies, settings)

    def latest_jobs(self, industry: str | None) -> list[JobRow]:
        """Each industry's job that completed last; of one industry (slug) where given."""
        queries = self.store.match_queries
        return [queries.job(job) for job in queries.latest_jobs(industry, queries.now())]

    def judge(self, match_id: uuid.UUID, verdict: Verdict | Literal["undo"], who: str) -> Label | None:
        """Stores a verdict, or takes the newest one back; the verdict that counts now."""
        if verdict == "undo":
            return self.labels.undo(match_id, who)
        return self.labels.give(match_id, verdict, who)

    def propose_calibration(self, industry: Industry) -> Proposal:
        """What the industry's verdicts teach, compared with what is in force.

        Raises:
            InputError: ``job.none``, ``calibration.labels``, ``calibration.embedder``.
        """
        # Fitting loads scipy's optimiser, and pages that do not fit must not wait for it.
        from pvm_evaluation.industry_calibration import propose

        rules = self.settings.rules_of(industry.rule_set, industry.rules)
        return propose(self.store, self.policies, self.settings.models, rules, industry)

    def install_calibration(self, proposal: Proposal, who: str) -> None:
        """Puts a proposal in force.

        Raises:
            InputError: ``calibration.changed``.
        """
        from pvm_evaluation.industry_calibration import install

        install(self.store, proposal, who)

    def revert_calibration(self, industry: Industry) -> None:
        """Takes the industry's calibration in force back.

        Raises:
            InputError: ``job.none``, ``calibration.none``.
        """
        from pvm_evaluation.industry_calibration import revert

        revert(self.store, industry)

    def base(self, request: Request) -> str:
        """The address under which callers reach us, without a final slash."""
        return (self.settings.api_url or str(request.base_url)).rstrip("/")


async def services(request: Request) -> Services:
    """The dependency: handles of the application that answers `request`."""
    found: Services = request.app.state.services
    return found
