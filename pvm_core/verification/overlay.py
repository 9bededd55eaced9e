"""What lies over one of two pictures and is no part of the product: a price banner, a sticker, a caption.

An overlay is flat, and its outline cuts through the other picture without a trace there. A sibling's band of
another colour has its outline in both: that is a difference of the product, and stays one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, cast

import numpy as np

if TYPE_CHECKING:
    from pvm_core.arrays import F32, U8, Bools

#: Lab distance, lightness at a third, from which a place differs.
APART: Final = 30.0
LIGHTNESS: Final = 0.3
#: Half the side of the Lab box that counts as one flat colour.
FLAT: Final = 14.0
#: Share of the product that an overlay covers: less does no harm, more leaves nothing to compare.
SHARE: Final = (0.03, 0.45)
#: Canvas pixels on either side of an outline at which the step across it is taken, and the Lab distance from
#: which it is one.
REACH: Final = 5
STEP: Final = 25.0
#: Of an overlay's outline: the share with a step; the share where the other picture has less than `TRACE` of
#: it; the other picture's mean step over its own. Banners and stickers have 0.85, 0.65 and 0.05 to 0.34.
CRISP: Final = 0.7
UNTRACED: Final = 0.6
TRACE: Final = 0.45
MEAN_TRACE: Final = 0.35
#: Share of an overlay that must differ from the other picture.
DIFFERS: Final = 0.6
#: Flat colours looked at in each picture.
_COLOURS: Final = 2
_FEW: Final = 20


@dataclass(frozen=True, eq=False)
class _Picture:
    """One of the two, (h, w, 3) uint8 Lab, slightly smoothed."""

    lab: U8

    @cached_property
    def planes(self) -> tuple[F32, ...]:
        """(h, w) float32 each: L, a and b."""
        return tuple(np.ascontiguousarray(self.lab[..., i], np.float32) for i in range(3))

    @cached_property
    def soft(self) -> F32:
        """(h, w, 3) float32, smoothed more, for steps; only where something may be an overlay."""
        import cv2

        return cast("F32", cv2.GaussianBlur(self.lab.astype(np.float32), (0, 0), 1.5))


def overlays(model: U8, warped: U8, seen: Bools) -> Bools:
    """(h, w) bool: places of two registered pictures that an overlay on either covers.

    Args:
        model, warped: (h, w, 3) uint8.
        seen: (h, w) bool, places that both show.
    """
    import cv2

    one, two = (_lab(cast("U8", cv2.GaussianBlur(x, (0, 0), 0.8))) for x in (model, warped))
    lightness, across, along = (a - b for a, b in zip(one.planes, two.planes, strict=True))
    apart = np.sqrt(across * across + along * along) + LIGHTNESS * np.abs(lightness) > APART
    found, shown = np.zeros(seen.shape, bool), int(np.count_nonzero(seen))
    for picture, other in ((one, two), (two, one)):
        rest = seen & ~found
        for _ in range(_COLOURS):
            shape = _largest_flat(picture.lab, apart & rest, shown)
            if shape is None:
                break
            rest &= ~(shape > 0)
            if _covers(shape, (picture, other), apart, seen):
                found |= cv2.dilate(shape, np.ones((7, 7), np.uint8)) > 0
    return found & seen


def _lab(rgb: U8) -> _Picture:
    import cv2

    return _Picture(cast("U8", cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)))


def _largest_flat(lab: U8, differs: Bools, shown: int) -> U8 | None:
    """The hull of the largest piece in the commonest colour of what differs, as 0 and 1; None without.

    Args:
        shown: places that both pictures show.
    """
    import cv2

    if np.count_nonzero(differs) < max(_FEW, SHARE[0] * shown):
        return None
    colours = lab[differs]
    cells = (colours >> 4).astype(np.int64) @ np.array([256, 16, 1])
    mode = np.median(colours[cells == np.bincount(cells).argmax()], axis=0)
    # Whole numbers nearer to the mode than `FLAT`, which is whole or half.
    low, high = np.floor(mode - FLAT) + 1, np.ceil(mode + FLAT) - 1
    flat = np.asarray(cv2.inRange(lab, low.clip(0, 255), high.clip(0, 255)), np.uint8) >> 7
    # Its print leaves holes in it; what is as flat but thin is an edge.
    flat = cv2.morphologyEx(flat, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(np.uint8)
    flat = cv2.morphologyEx(flat, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8)).astype(np.uint8)
    shapes, _ = cv2.findContours(flat, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not shapes:
        return None
    filled = np.zeros_like(flat)
    cv2.fillConvexPoly(filled, cv2.convexHull(max(shapes, key=cv2.contourArea)), (1,))
    return filled


def _covers(shape: U8, pair: tuple[_Picture, _Picture], apart: Bools, seen: Bools) -> bool:
    """Whether a piece is an overlay: it differs, and its outline is there in one picture alone."""
    inside = (shape > 0) & seen
    if not SHARE[0] < inside.sum() / seen.sum() < SHARE[1] or apart[inside].mean() <= DIFFERS:
        return False
    across = _steps(shape, pair, seen)
    if across is None:
        return False
    size, trace = (np.linalg.norm(step, axis=1) for step in across)
    mean, mean_trace = (float(np.linalg.norm(step.mean(axis=0))) for step in across)
    return bool(
        (size > STEP).mean() > CRISP
        and (trace < TRACE * size).mean() > UNTRACED
        and mean_trace < MEAN_TRACE * mean
    )


def _steps(shape: U8, pair: tuple[_Picture, _Picture], seen: Bools) -> tuple[F32, F32] | None:
    """(N, 3) Lab steps across a piece's outline in its own picture and in the other; None: it has too little
    outline within the product."""
    import cv2

    shapes, _ = cv2.findContours(shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    ring = max(shapes, key=len)[:, 0].astype(np.float32)
    along = np.roll(ring, -REACH, axis=0) - np.roll(ring, REACH, axis=0)
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-3)
    ends = [np.round(ring + sign * REACH * normal).astype(int) for sign in (-1, 1)]
    high, wide = seen.shape
    inside = np.logical_and.reduce(
        [(e >= 3).all(axis=1) & (e[:, 0] < wide - 3) & (e[:, 1] < high - 3) for e in ends]
    )
    ends = [e[inside] for e in ends]
    both = seen[ends[0][:, 1], ends[0][:, 0]] & seen[ends[1][:, 1], ends[1][:, 0]]
    (ax, ay), (bx, by) = (e[both].T for e in ends)
    if len(ax) < _FEW:
        return None
    own, other = (picture.soft[ay, ax] - picture.soft[by, bx] for picture in pair)
    return own, other
