"""A piece of a product that differs in two pictures laid over each other: is it the product's, or in its way?

A band of another colour has its outline in both pictures, and the same print around it. What stands before a
product has an outline of its own, and comes in from outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from pvm_core.verification.patches import square

if TYPE_CHECKING:
    from pvm_core.arrays import F32, U8, Bools

#: Thickness of a piece, twice this share of the side: a fringe of a pixel or two is misplaced print.
THIN: Final = 0.012
#: Half the way, pixels, across an outline, and the pixels by which it may be off; the step in Lab units that
#: is an edge; the share of the outline where both pictures must have one: 0.93 to 1.0 for pieces of generated
#: siblings of another colour, 0.91 where light fades over a sky.
ACROSS: Final = 4
OFF: Final = (-2, 0, 2)
STEP: Final = 8.0
TRACED: Final = 0.92
#: How far around a piece, as a share of the side, edges must be the same in both pictures, and their least
#: correlation: 0.65 to 0.98 for 48 of 50 generated siblings of another colour (less in hard light, where true
#: pairs have it too), 0.38 where another product stands before the one shown.
AROUND: Final = 0.2
SAME_EDGES: Final = 0.6
#: Share of a piece that lies in what is known to be registered, from which it comes from nowhere else; and
#: from which it may, where edges correlate by as much around it: a band from edge to edge.
INSIDE: Final = 0.9
BAND: Final = (0.6, 0.8)
#: Pixels by which edges may be off.
_EDGE_REACH: Final = 2
#: What differs by nature besides a piece: this quantile of the distance, farther from it than this share of
#: the side.
SCATTER: Final = 0.9
_APART: Final = 0.05


def piece_at(differs: Bools, x: int, y: int) -> U8:
    """(h, w) 0 or 1: the connected piece of what differs that holds a place."""
    import cv2

    _, labels = cv2.connectedComponents(differs.astype(np.uint8))
    return np.asarray(labels == labels[y, x], np.uint8)


def scatter(distance: F32, trusted: Bools, piece: U8) -> float:
    """How far the two pictures are apart elsewhere, in the units of `distance`; infinite where nothing is
    left to tell it."""
    import cv2

    side = max(piece.shape)
    rest = distance[trusted & (cv2.dilate(piece, square(_APART * side)) == 0)]
    return float(np.quantile(rest, SCATTER)) if rest.size > 50 else float("inf")


@dataclass(frozen=True, eq=False)
class Outlines:
    """The edges of two pictures laid over each other, equally sharp.

    Attributes:
        lab: of both, (h, w, 3) float32, smoothed.
        edges: of both, (h, w) float32.
        seen: (h, w) bool, places that both show.
    """

    lab: tuple[F32, F32]
    edges: tuple[F32, F32]
    seen: Bools

    @classmethod
    def of(cls, model: U8, frame: U8, seen: Bools) -> Outlines:
        """Those of two (h, w, 3) uint8 RGB pictures."""
        side = max(seen.shape)
        return cls(
            (_lab(model, 0.006 * side), _lab(frame, 0.006 * side)),
            (_edges(_lab(model, 0.008 * side)), _edges(_lab(frame, 0.008 * side))),
            seen,
        )

    def are_shared(self, piece: U8) -> bool:
        """Whether a piece (0 or 1) is more than a fringe, and both pictures show its outline and the same
        edges around it."""
        import cv2

        thick = 2 * float(cv2.distanceTransform(piece, cv2.DIST_L2, 3).max())
        if thick < 2 * THIN * max(piece.shape):
            return False
        return self._traced(piece) >= TRACED and self.correlation(piece) >= SAME_EDGES

    def stays_inside(self, piece: U8, known: Bools) -> bool:
        """Whether a piece does not come in from outside of what is known to be registered. Holes in that are
        no outside: letters of another contrast leave one."""
        inside = float(_filled(known)[piece > 0].mean())
        return inside >= INSIDE or (inside >= BAND[0] and self.correlation(piece) >= BAND[1])

    def correlation(self, piece: U8) -> float:
        """Of the edges in the box of a piece and around it, [-1, 1]."""
        import cv2

        left, top, w, h = cv2.boundingRect(piece)
        box = np.zeros_like(piece)
        box[top : top + h, left : left + w] = 1
        around = (cv2.dilate(box, square(AROUND * max(piece.shape))) > 0) & self.seen
        model = self.edges[0][around]
        shifts = range(-_EDGE_REACH, _EDGE_REACH + 1)
        moved = (np.roll(self.edges[1], (dy, dx), (0, 1))[around] for dy in shifts for dx in shifts)
        return max(_correlated(model, frame) for frame in moved)

    def _traced(self, piece: U8) -> float:
        """Share of a piece's outline that is an edge, in the picture where that is less."""
        import cv2

        shapes, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        ring = max(shapes, key=len)[:, 0].astype(np.float32)
        along = np.roll(ring, -3, axis=0) - np.roll(ring, 3, axis=0)
        normal = np.stack([along[:, 1], -along[:, 0]], axis=1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-3)
        return min(self._steps(lab, ring, cast("F32", normal)) for lab in self.lab)

    def _steps(self, lab: F32, ring: F32, normal: F32) -> float:
        high, wide = lab.shape[:2]
        steps = []
        for off in OFF:
            ends = [np.round(ring + (off + sign * ACROSS) * normal).astype(int) for sign in (-1, 1)]
            (ax, ay), (bx, by) = ((e[:, 0].clip(0, wide - 1), e[:, 1].clip(0, high - 1)) for e in ends)
            steps.append(np.linalg.norm(lab[ay, ax] - lab[by, bx], axis=1))
        return float((np.max(steps, axis=0) > STEP).mean())


def _filled(known: Bools) -> Bools:
    import cv2

    shapes, _ = cv2.findContours(known.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(np.zeros(known.shape, np.uint8), shapes, -1, (1,), cv2.FILLED) > 0)


def _lab(rgb: U8, sigma: float) -> F32:
    import cv2

    soft = cv2.GaussianBlur(rgb, (0, 0), sigma)
    return cast("F32", cv2.cvtColor(soft, cv2.COLOR_RGB2LAB).astype(np.float32))


def _edges(lab: F32) -> F32:
    """(h, w): square root of the Lab gradient, whichever channel carries it: another ground colour keeps an
    edge's place, not its kind."""
    import cv2

    across = [cv2.Sobel(lab, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0)]
    return cast("F32", np.sqrt(np.sqrt((across[0] ** 2 + across[1] ** 2).sum(axis=-1))))


def _correlated(a: F32, b: F32) -> float:
    one, two = a - a.mean(), b - b.mean()
    return float((one * two).sum() / max(float(np.sqrt((one * one).sum() * (two * two).sum())), 1e-6))
