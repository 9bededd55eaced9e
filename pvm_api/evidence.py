"""Evidence pictures as a reader wants them: as stored, or drawn anew in their language or under a verdict."""

from __future__ import annotations

import hashlib
import uuid
from functools import lru_cache
from typing import Final

from pvm_assets.work.evidence import evidence_page, weights_of
from pvm_core.evidence.words import Language
from pvm_core.rules import Rules
from pvm_jobs.source_policy import Policies
from pvm_resources.media.store import MediaStore
from pvm_resources.store.assembly import Store
from pvm_resources.store.match_record import EvidenceItem

#: Pictures in memory; one is 100 to 300 kB.
_KEPT: Final = 100


class EvidencePictures:
    """Draws what is not stored, and keeps the most recently used in memory.

    Args:
        media, store: where the pictures and the matches are.
        policies: of the sources.
    """

    def __init__(self, media: MediaStore, store: Store, policies: Policies) -> None:
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
        """
        return (self._kept if keep else self._draw)(item.match_id, language, reason, tag, portrait)

    def _draw(self, match_id: uuid.UUID, language: Language, reason: str, tag: str, portrait: bool) -> bytes:
        # The tag is part of the cache's key: it changes with the picture.
        item = self.item(match_id)
        rules = self._store.jobs.get(item.job_id).rules or vars(Rules())
        return evidence_page(
            self._media,
            item,
            weights_of(rules),
            self._policies,
            language=language,
            reason=reason,
            portrait=portrait,
        )
