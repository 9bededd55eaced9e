"""A pair of pictures and its score, as data: what the store and the decision share. No arrays."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pvm_core.rules import Rules


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


def weighted(deep: float | None, kp: float | None, edge: float | None, rules: Rules) -> float | None:
    """The weighted sum of the known terms, [0, 1]; None where none is known."""
    parts = [(rules.weight_deep, deep), (rules.weight_kp, kp)]
    if rules.edge_term:
        parts.append((rules.weight_edge, edge))
    total = sum(w for w, _ in parts)
    known = [w * v for w, v in parts if v is not None]
    return min(1.0, sum(known) / total) if known and total > 0 else None


@dataclass(frozen=True)
class Words:
    """What the text of a frame says about a product.

    Attributes:
        carried: folded words of the product picture.
        seen: of them, those that the frame reads too, each with its rarity in the catalogue, [0, 1].
        against: a word of the product, and the other one that stands in its place; () without.
    """

    carried: frozenset[str] = frozenset()
    seen: tuple[tuple[str, float], ...] = ()
    against: tuple[str, ...] = ()


@dataclass(frozen=True)
class PairScore(Terms, Pair):
    """A pair with its score.

    Attributes:
        footprint: outline of what the pair explains in the frame (`PairEvidence.footprint`), None without a
            transform. Decisions need it; it is not stored with a score.
        by_looks: whether likeness alone carries the score, not what the terms sum up to; not stored either.
        learned: agreeing points of learned local features where they carry the score, else None; not stored.
        mirrored: whether the frame shows the product left for right; stored with a match.
        recolour: distance of a region whose colour no light explains, where it is beyond `RECOLOURED`: the
            product of another colour; else None; not stored.
        reprint: size of a piece with another print, where it is at least `REPRINTED`; else None; not stored.
        words: what the text of both says, None where it was not read; not stored either.
        shared: whether all that agrees is material that is not the product (`pvm_core.shared_material`); not
            stored either.
    """

    footprint: tuple[float, ...] | None = None
    by_looks: bool = False
    learned: int | None = None
    mirrored: bool = False
    shared: bool = False
    recolour: float | None = None
    reprint: float | None = None
    words: Words | None = None

    @property
    def differs(self) -> bool:
        """Whether a region of another colour, another print or another word shows that this is a sibling."""
        told = self.words is not None and bool(self.words.against)
        return self.recolour is not None or self.reprint is not None or told


#: Fields of a `PairScore` that decisions need and the store does not keep with a pair.
UNSTORED: Final = ("footprint", "by_looks", "learned", "mirrored", "shared", "recolour", "reprint", "words")
