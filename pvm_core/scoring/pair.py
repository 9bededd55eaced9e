"""A pair of pictures and its score, as data: what the store and the decision share. No arrays."""

from __future__ import annotations

import uuid
from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    """One frame and one product picture.

    Attributes:
        frame_id, img_id: None once that picture was purged, which happens only to the best pair of a match.
        ts: second of the frame; shot: the number of its shot in the video.
    """

    frame_id: uuid.UUID | None
    img_id: uuid.UUID | None
    product_id: uuid.UUID
    video_id: uuid.UUID
    ts: float
    shot: int


@dataclass(frozen=True)
class Terms:
    """The calibrated terms of a pair and their sum, each in [0, 1] or None where the evidence is missing."""

    sim_deep: float | None
    sim_kp: float | None
    sim_edge: float | None
    score_pair: float | None


@dataclass(frozen=True)
class PairScore(Terms, Pair):
    """A pair with its score.

    Attributes:
        footprint: outline of what the pair explains in the frame (`PairEvidence.footprint`), None without a
            transform. Decisions need it; it is not stored with a score.
    """

    footprint: tuple[float, ...] | None = None
