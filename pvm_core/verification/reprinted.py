"""Another print in one place: a word that differs on a pack that is the same around it.

Strokes are compared window by window once a frame lies over the product to the pixel. Where they disagree in
a piece that agreeing print surrounds, another word stands there. A finger comes in from outside, most
reflections are not printed as strongly, and the grain of a dark ground is fainter than any letter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from pvm_core.verification.overlay import overlays
from pvm_core.verification.patches import Patches, aligned, as_sharp, hull, odd, outline, square

if TYPE_CHECKING:
    from pvm_core.arrays import F32, U8, Bools

#: Longest side of the patches, pixels: a word on a band has letters of eight.
SIDE: Final = 320
#: Finest and coarsest detail that is compared, and width and height of the window, as shares of the side:
#: strokes of a word, and some letters of it.
STROKES: Final = (0.002, 0.022)
WINDOW: Final = (0.08, 0.045)
#: Pixels by which a window may be off.
REACH: Final = 1
#: Variance of the strokes from which a window is printed; the share of it that the frame's contrast leaves,
#: and bounds of the spread of its strokes over that of the product's, once its contrast is allowed for.
PRINTED: Final = 25.0
FAINT: Final = 0.3
AS_STRONG: Final = (0.5, 2.0)
#: Variance of a word's strokes in the picture that prints it more strongly, over what is usual on that
#: picture of the product: 0.27 to 2.8 for the pieces found on 21 generated siblings, 0.03 and 0.04 for
#: those found on the dark ground of true pairs.
LETTERS: Final = 0.1
#: Correlation from which a window agrees, and below which it does not.
AGREES: Final = 0.75
DIFFERS: Final = 0.5
#: As shares of the side: the gap in agreeing print that a word leaves; what is left out at the edge of the
#: product, of the hull of matched places and beside a banner.
GAP: Final = 0.14
EDGE: Final = 0.03
WITHIN: Final = 0.06
BESIDE: Final = 0.12
#: The ring around a piece: from and to, as shares of the side; shares of it that must lie in agreeing print
#: and its gaps, be printed in both, and of that agree; share of the piece that both print as strongly.
RING: Final = (0.025, 0.065)
SURROUNDED: Final = (0.9, 0.6, 0.75)
PRINTED_PIECE: Final = 0.5
_FEW: Final = 200


@dataclass(frozen=True)
class Reprinted:
    """The largest piece whose print differs.

    Attributes:
        area: in units of the patch's longest side squared, [0, 1].
        outline: its corners in product pixels, x0 y0 .. x3 y3.
    """

    area: float
    outline: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class _Compared:
    """Windows of strokes.

    Attributes:
        likeness: (h, w) float32, correlation.
        printed: in both, the frame's contrast allowed for; strong: as strongly in both.
        any: printed in either.
        strength: (h, w) float32, variance over what is usual on the product, of the picture where it is more.
        domain: agreeing print with the gaps that words leave.
    """

    likeness: F32
    printed: Bools
    strong: Bools
    any: Bools
    strength: F32
    domain: Bools


def reprinted(given: Patches, matched: F32) -> Reprinted | None:
    """The largest piece that agreeing print surrounds and where another print stands; area 0 where there is
    none, None where too little is printed to say.

    Args:
        matched: (N, 2) product pixels that geometry matched.
    """
    import cv2

    compared = _compare(given, matched)
    if compared is None:
        return None
    differs = compared.any & compared.domain & (compared.likeness < DIFFERS)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(differs.astype(np.uint8))
    order = sorted(range(1, count), key=lambda k: -int(stats[k, cv2.CC_STAT_AREA]))
    for k in order[:3]:
        piece = np.asarray(labels == k, np.uint8)
        if _is_surrounded(piece, compared):
            return Reprinted(float(stats[k, cv2.CC_STAT_AREA]) / given.side**2, outline(given, piece))
    return Reprinted(0.0, outline(given, np.ones(labels.shape, np.uint8)))


def _compare(given: Patches, matched: F32) -> _Compared | None:
    import cv2

    side = given.side
    warped = aligned(given)
    pictures = as_sharp(given.model, warped, given.seen)
    strokes = [_strokes(x, side) for x in pictures]
    likeness, own, other = _correlated(strokes[0], strokes[1], side)
    beside = cv2.dilate(overlays(given.model, warped, given.seen).astype(np.uint8), square(BESIDE * side)) > 0
    core = hull(given, matched) & given.seen & ~beside
    sample = (cv2.erode(core.astype(np.uint8), square(WITHIN * side), borderValue=0) > 0) & (own > PRINTED)
    if sample.sum() < _FEW:
        return None
    gain = float(np.median(other[sample] / own[sample]))
    usual = [float(np.median(x[sample])) for x in (own, other)]
    strength = np.maximum(own / usual[0], other / max(usual[1], 1.0))
    inner = cv2.erode(given.seen.astype(np.uint8), square(EDGE * side), borderValue=0) > 0
    printed = (own > PRINTED) & (other > FAINT * PRINTED * gain)
    agreeing = (printed & (likeness > AGREES) & inner).astype(np.uint8)
    gap = square(GAP * side)
    closed = cv2.erode(cv2.dilate(agreeing, gap), gap, borderValue=0) > 0
    domain = np.asarray(closed & given.seen & ~beside)
    ratio = np.sqrt(np.maximum(other, 0.0) / np.maximum(own, 1.0) / max(gain, 1e-3))
    strong = printed & (ratio > AS_STRONG[0]) & (ratio < AS_STRONG[1])
    either = ((own > PRINTED) | (other > PRINTED * gain)) & inner
    return _Compared(
        likeness,
        np.asarray(printed & domain),
        np.asarray(strong & domain),
        np.asarray(either),
        strength,
        domain,
    )


def _strokes(rgb: U8, side: int) -> F32:
    import cv2

    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(grey, (0, 0), max(0.7, share * side)) for share in STROKES)
    return cast("F32", fine - coarse)


def _correlated(a: F32, b: F32, side: int) -> tuple[F32, F32, F32]:
    """The best correlation of each window over shifts up to `REACH`, and the variance of both."""
    import cv2

    size = odd(WINDOW[0] * side), odd(WINDOW[1] * side)

    def mean(x: F32) -> F32:
        return cast("F32", cv2.boxFilter(x, -1, size, borderType=cv2.BORDER_REFLECT))

    # Strokes have no mean over a window to speak of: what is left of it is that of its edge.
    own, other = mean(a * a), mean(b * b)
    best = np.full(a.shape, -1.0, np.float32)
    spread = np.sqrt(np.maximum(own, 1.0))
    for dy in range(-REACH, REACH + 1):
        for dx in range(-REACH, REACH + 1):
            shared = mean(a * np.roll(b, (dy, dx), (0, 1)))
            beside = np.roll(other, (dy, dx), (0, 1))
            best = np.maximum(best, shared / (spread * np.sqrt(np.maximum(beside, 1.0)) + 3.0))
    return best, own, other


def _is_surrounded(piece: U8, compared: _Compared) -> bool:
    """Whether agreeing print is all around a piece, and the piece is printed in both, as words are."""
    import cv2

    if float(compared.strong[piece > 0].mean()) < PRINTED_PIECE:
        return False
    if float(np.median(compared.strength[piece > 0])) < LETTERS:
        return False
    side = max(piece.shape)
    grown = cv2.dilate(piece, square(2 * RING[0] * side))
    ring = (cv2.dilate(grown, square(2 * (RING[1] - RING[0]) * side)) > 0) & (grown == 0)
    both = ring & compared.printed
    if not both.any():
        return False
    shares = (
        float(compared.domain[ring].mean()),
        float(both.sum() / ring.sum()),
        float((compared.likeness[both] > AGREES).mean()),
    )
    return all(share >= least for share, least in zip(shares, SURROUNDED, strict=True))
