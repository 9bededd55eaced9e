"""What differs, locally: the region whose colour contradicts a product that is otherwise the same.

A sibling whose name band has another colour agrees everywhere else, so that a mean over the product hides it.
Here both pictures are laid over each other at the scale that the coarser of them resolves, and the worst
coherent region decides. Light does not: what is washed out, shaded or evenly tinted keeps its hue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from pvm_core.verification.overlay import overlays
from pvm_core.verification.patches import Patches, aligned, as_sharp, hull, odd, outline, square
from pvm_core.verification.pieces import Outlines, piece_at, scatter

if TYPE_CHECKING:
    from pvm_core.arrays import F32, U8, Bools

#: Longest side of the patches, pixels: a band is a twentieth of a pack, and chroma of video is coarse.
SIDE: Final = 224
#: As shares of the side: window of the local correlation; of the agreement around a place; of the structure
#: that a place must share; the margin kept from the hull of matched places.
WINDOW: Final = 0.045
AROUND: Final = 0.22
STRUCTURE: Final = 0.15
MARGIN: Final = 0.04
#: Grey variances from which a window counts as printed in the catalogue picture and in the frame.
PRINTED: Final = (80.0, 40.0)
#: Mean correlation of the print around a place, share of it that must be printed, and correlation of the
#: structure at the place, from which the two are registered there and neither is covered.
REGISTERED: Final = 0.5
SOME_PRINT: Final = 0.08
UNCOVERED: Final = 0.3
#: Bounds of the one change of saturation and tint (Lab units) that light may make to all of a product.
SATURATION: Final = (0.35, 1.4)
TINT: Final = 20.0
#: Width, as a share of the side, of what is left out beside a sticker.
BESIDE: Final = 0.12
#: Regions looked at, worst first.
_REGIONS: Final = 4
#: Lab units that a region counts less where it reaches out of what is registered: what stands before a
#: product (a hand, another pack) comes in from outside. Hands that pass every other test reach 35.
REACHES_OUT: Final = 22.0
#: Offsets, as shares of the side, at which a colour may stand beside its place: a product is no plane, and
#: what stands out of it moves by as much between two views.
_BESIDE_ITS_PLACE: Final = (-0.036, -0.018, 0.0, 0.018, 0.036)
#: Weight of the usual saturation (0.8) against what the chroma of a product says of it, squared Lab units.
_PRIOR: Final = 50.0
#: Share of the product that the hull of matched places must cover: of a small thing in a scene each window
#: holds all of its colours.
MIN_CORE: Final = 0.2


@dataclass(frozen=True)
class Recoloured:
    """The region that contradicts most.

    Attributes:
        distance: of its chroma from what any light makes of the product's, less what the rest of the product
            shows of such distance, Lab units, >= 0.
        outline: its corners in product pixels, x0 y0 .. x3 y3.
    """

    distance: float
    outline: tuple[float, ...]


def recoloured(given: Patches, matched: F32) -> Recoloured | None:
    """The region whose colour contradicts most, within the hull of the matched places, where print around it
    and structure in it agree; None where there is no such place.

    What covers a part of one picture (a hand, a sticker, another product) shares no structure with the other
    there and does not count; nor does a region whose outline both do not show.

    Args:
        matched: (N, 2) product pixels that geometry matched.
    """
    import cv2

    side = given.side
    warped = aligned(given)
    model, frame = as_sharp(given.model, warped, given.seen)
    grey = [cv2.cvtColor(x, cv2.COLOR_RGB2GRAY).astype(np.float32) for x in (model, frame)]
    core = hull(given, matched) & given.seen
    if core.mean() < MIN_CORE:
        return None
    covered = overlays(given.model, warped, given.seen).astype(np.uint8)
    trusted = core & _registered(grey[0], grey[1], given.seen, side)
    trusted &= cv2.dilate(covered, square(BESIDE * side)) == 0
    inner = cv2.erode(core.astype(np.uint8), square(MARGIN * side), borderValue=0) > 0
    known = trusted & inner
    if not known.any():
        return None
    chroma = [_chroma(x, side) for x in (model, frame)]
    distance = _unexplained(chroma[0], chroma[1], core)
    return _worst(given, distance, known, trusted, Outlines.of(model, frame, given.seen))


def _worst(given: Patches, distance: F32, known: Bools, trusted: Bools, outlines: Outlines) -> Recoloured:
    """The region that contradicts most among those whose outline both pictures show; one of distance 0
    where none does."""
    import cv2

    left = np.where(known, distance, np.float32(0))
    worst = Recoloured(0.0, outline(given, np.ones_like(left, np.uint8)))
    for _ in range(_REGIONS):
        y, x = np.unravel_index(int(left.argmax()), left.shape)
        peak = float(left[y, x])
        if peak <= worst.distance:
            break
        piece = piece_at(distance > 0.5 * peak, int(x), int(y))
        by_much = peak - scatter(distance, trusted, piece)
        if not outlines.stays_inside(piece, known):
            by_much -= REACHES_OUT
        if by_much > worst.distance and outlines.are_shared(piece):
            worst = Recoloured(by_much, outline(given, piece))
        left[cv2.dilate(piece, square(0)) > 0] = 0.0
    return worst


def _mean(values: F32, window: int) -> F32:
    import cv2

    return cast("F32", cv2.boxFilter(values, -1, (window, window), borderType=cv2.BORDER_REFLECT))


def _registered(model: F32, frame: F32, seen: Bools, side: int) -> Bools:
    """(h, w) bool: print around the place agrees, and the structure at it."""
    import cv2

    local, printed = _correlation(model, frame, odd(WINDOW * side), 1)
    known = (printed & seen).astype(np.float32)
    around = odd(AROUND * side)
    share = _mean(known, around)
    agree = _mean(np.clip(local, 0, 1).astype(np.float32) * known, around) / np.maximum(share, 0.02)
    smooth = [cast("F32", cv2.GaussianBlur(x, (0, 0), 0.008 * side)) for x in (model, frame)]
    structure, _ = _correlation(smooth[0], smooth[1], odd(STRUCTURE * side), 0)
    return np.asarray((share > SOME_PRINT) & (agree > REGISTERED) & (structure > UNCOVERED))


def _correlation(a: F32, b: F32, window: int, reach: int) -> tuple[F32, Bools]:
    """The best local correlation over shifts up to `reach`, and where both are printed."""
    ma, mb = _mean(a, window), _mean(b, window)
    va, vb = _mean(a * a, window) - ma * ma, _mean(b * b, window) - mb * mb
    best = np.full(a.shape, -1.0, np.float32)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            other, mean, spread = (np.roll(x, (dy, dx), (0, 1)) for x in (b, mb, vb))
            shared = _mean(a * other, window) - ma * mean
            found = shared / np.sqrt(np.maximum(va, 1) * np.maximum(spread, 1) + 25.0)
            best = np.maximum(best, found)
    return best, (va > PRINTED[0]) & (vb > PRINTED[1])


def _chroma(rgb: U8, side: int) -> F32:
    """(h, w, 2) a and b around grey, as smooth as video carries them."""
    import cv2

    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)[..., 1:] - np.float32(128)
    return cast("F32", cv2.GaussianBlur(lab, (0, 0), 0.01 * side))


def _unexplained(model: F32, frame: F32, core: Bools) -> F32:
    """(h, w): distance of the frame's chroma from what light makes of the catalogue picture's.

    One saturation and one tint, fitted to all of the core so that a region that differs does not count
    (reweighted least squares), and any loss of saturation: glare and shade take it away place by place.
    """
    x, y = model[core].astype(np.float64), frame[core].astype(np.float64)
    weight = np.ones(len(x))
    gain, tint = 1.0, np.zeros(2)
    for _ in range(6):
        total = weight.sum()
        mx, my = (weight @ v / total for v in (x, y))
        xc, yc = x - mx, y - my
        both = (weight @ (xc * yc)).sum() + 0.8 * _PRIOR * total
        gain = float(np.clip(both / ((weight @ (xc * xc)).sum() + _PRIOR * total), *SATURATION))
        tint = np.clip(my - gain * mx, -TINT, TINT)
        off = np.hypot(*(y - gain * x - tint).T)
        weight = 1.0 / (1.0 + (off / max(4.0, 1.5 * float(np.median(off)))) ** 2)
    return _to_nearest(gain * model, frame - np.asarray(tint, np.float32))


def _to_nearest(expected: F32, got: F32) -> F32:
    """(h, w): distance of a chroma from the nearest that is expected there or close by, faded or not."""
    import cv2

    # Chroma is smooth: every second pixel says it all.
    a, b, got_a, got_b = (
        np.ascontiguousarray(x[::2, ::2, i], np.float32) for x in (expected, got) for i in (0, 1)
    )
    height, width = a.shape
    reach = [round(share * max(height, width)) for share in _BESIDE_ITS_PLACE]
    border = max(reach)
    a, b = (np.pad(x, border, mode="edge") for x in (a, b))
    length = np.maximum(a * a + b * b, np.float32(1e-3))
    squared = np.full((height, width), np.inf)
    for dy in reach:
        for dx in reach:
            here = (slice(border + dy, border + dy + height), slice(border + dx, border + dx + width))
            along = np.clip((a[here] * got_a + b[here] * got_b) / length[here], 0.0, SATURATION[1])
            away = [np.asarray(x, np.float64) for x in (got_a - along * a[here], got_b - along * b[here])]
            squared = np.minimum(squared, away[0] * away[0] + away[1] * away[1])
    nearest = np.sqrt(squared).astype(np.float32)
    size = (expected.shape[1], expected.shape[0])
    return cast("F32", cv2.resize(nearest, size, interpolation=cv2.INTER_LINEAR))
