"""Evidence pictures as a reader wants them: as stored, or drawn anew in their language or under a verdict."""

from __future__ import annotations

import hashlib
import uuid
from functools import lru_cache
from typing import Final

from pvm_assets.work.evidence import evidence_page, is_current, weights_of
from pvm_assets.work.picture_source import picture_source
from pvm_core.evidence.words import Language
from pvm_core.rules import Rules
from pvm_jobs.source_policy import Policies
from pvm_resources.media.store import MediaStore
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.match_record import EvidenceItem

#: Pictures in memory; one is 100 to 300 kB.
_KEPT: Final = 100


class EvidencePictures:
    """Draws what is not stored, and keeps the most recently used in memory.

    Args:
        media, store: where the pictures and the matches are.
        policies: of the sources.
        settings: with the industry's they are the rules, which may ask for blurred faces.
    """

    def __init__(self, media: MediaStore, store: Store, policies: Policies, settings: Settings) -> None:
        self._settings = settings
        self._media = media
        self._store = store
        self._policies = policies
        self._kept = lru_cache(_KEPT)(self._draw)

    def item(self, match_id: uuid.UUID) -> EvidenceItem:
        """The match with what its picture shows.

        Raises:
            InputError: ``match.unknown``.
        """
        return self._store.match_queries.evidence_item(match_id)

    def blurs(self, slug: str) -> bool:
        """Faces are blurred in the evidence of this industry."""
        industry = self._store.industries.get(slug)
        return self._settings.rules_of(industry.rule_set, industry.rules).blur_faces

    def current(self, item: EvidenceItem) -> bool:
        """The stored picture is of the kind that the rules ask for."""
        return is_current(item, blurs=self.blurs(item.industry))

    def tag(self, item: EvidenceItem, language: Language, *, portrait: bool = False) -> str:
        """Identifies the picture without drawing it; the match has a stored one."""
        key = item.evidence_path or ""
        parts = (
            key,
            self._media.size(key),
            self._media.modified(key),
            language,
            item.label,
            item.rival,
            portrait,
            self.blurs(item.industry),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]

    def make(
        self,
        item: EvidenceItem,
        language: Language,
        tag: str,
        *,
        keep: bool,
        reason: str = "",
        portrait: bool = False,
    ) -> bytes:
        """The picture, JPEG.

        Args:
            reason: why the score is what it is, in that language; "" in English.
            portrait: for a narrow screen.
            keep: in memory; not for material whose source limits how long it may be kept.

        Raises:
            StoreError: ``media.missing``, or the store is out of reach.
            ModelError: ``evidence.faces``: faces are to be blurred and cannot be.
        """
        return (self._kept if keep else self._draw)(item.match_id, language, reason, tag, portrait)

    def _draw(self, match_id: uuid.UUID, language: Language, reason: str, tag: str, portrait: bool) -> bytes:
        # The tag is part of the cache's key: it changes with the picture.
        item = self.item(match_id)
        rules = self._store.jobs.get(item.job_id).rules or vars(Rules())
        # Loaded anew for each: OpenCV's networks serve one thread at a time.
        blurs = self.blurs(item.industry)
        return evidence_page(
            picture_source(self._media, self._settings.models, blurs=blurs),
            item,
            weights_of(rules),
            self._policies,
            language=language,
            reason=reason,
            portrait=portrait,
        )
