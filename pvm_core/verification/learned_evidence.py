"""What the second verifier measures of a pair, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Points kept for drawing.
DRAWN: Final = 60


@dataclass(frozen=True)
class LearnedEvidence:
    """What learned local features say about a frame and a product picture.

    Attributes:
        matches: features that the matcher takes for the same place.
        inliers: of them, those that one loosely fitted similarity explains.
        coverage: share of the product's cells with features that hold an inlier, [0, 1].
        transform: row-major 3x3, product pixels -> frame pixels; None where no similarity was found.
        footprint: outline of the inliers in the frame (x0 y0 x1 y1 ..).
        points_product, points_frame: inliers (at most `DRAWN`), for drawing.
    """

    matches: int
    inliers: int
    coverage: float = 0.0
    transform: tuple[float, ...] | None = None
    footprint: tuple[float, ...] | None = None
    points_product: tuple[tuple[float, float], ...] = ()
    points_frame: tuple[tuple[float, float], ...] = ()
