"""One match: its evidence picture."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
from pvm_core.evidence import EvidenceInput, render_evidence

from pvm_core.pictures import encode_jpeg
from pvm_resources.media import MediaStore
from pvm_resources.repositories.rows import MatchItem

#: JPEG quality of an evidence picture: text must stay sharp.
_QUALITY = 90


@dataclass(frozen=True)
class ProofTask:
    """A match whose evidence picture is wanted under `key`."""

    item: MatchItem
    key: str

    def __str__(self) -> str:
        return (
            f"{self.item.product_ref} in {self.item.given_names[0] if self.item.given_names else 'a video'}"
        )


@dataclass(frozen=True)
class ProofDone:
    """A stored evidence picture."""

    match_id: uuid.UUID
    key: str


def render_proof(media: MediaStore, task: ProofTask) -> ProofDone:
    """Renders and stores one evidence picture."""
    media.put(task.key, encode_jpeg(render_evidence(evidence_input(media, task.item)), _QUALITY))
    return ProofDone(task.item.match.match_id, task.key)


def evidence_input(media: MediaStore, item: MatchItem) -> EvidenceInput:
    """What the evidence picture of a match shows."""
    return EvidenceInput(decode_stored(media.get(item.image_path)), decode_stored(media.get(item.frame_path)))


def _points(points: Any) -> np.ndarray:
    return np.asarray(points, np.float32).reshape(-1, 2)
