"""Measurements of one sampled frame, cheap enough for every one of them (about 1 ms)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pvm_core.images import phash64
from pvm_core.video import SampledFrame

#: Everything is measured at one size, so that values of a 4K and a 480p video mean the same.
_SIDE: Final = 480
#: Side, in pixels at that size, of the tiles whose sharpness is taken.
_TILE: Final = 30
#: Tiles between these ranks (from the sharpest) are averaged: a small picture inside a blurred fill is
#: among them, a caption or watermark (always sharp) alone is not.
_TILES_FROM: Final = 0.10
_TILES_TO: Final = 0.40
#: Thumbnails: longest side, the margin searched for camera motion, and blocks a side for local change.
_THUMB: Final = 48
_MARGIN: Final = 4
_BLOCKS: Final = 6
#: Levels of luma within which a pixel belongs to the background, and from which on it is another's.
_BACKGROUND: Final = 12.0
_REPLACED: Final = 16.0


@dataclass(frozen=True)
class Measure:
    """What is known of a frame without its pixels, in a few kilobytes.

    Attributes:
        sharpness: geometric mean of the Laplacian energy of its sharper tiles, >= 0; comparable between the
            frames of one shot only.
        dark: luma, 0..255, that 99 of 100 pixels stay under.
        spread: range of luma, 0..255, that holds 96 of 100 pixels.
        thumb: luma, float32, longest side 48.
        colours: joint histogram of luma and chroma, float32 (512,), sums to 1.
        phash: `images.phash64` of the luma as coded (not rotated).
    """

    sharpness: float
    dark: float
    spread: float
    thumb: NDArray[np.float32]
    colours: NDArray[np.float32]
    phash: int


def measure(frame: SampledFrame) -> Measure:
    """The measurements of a frame."""
    luma, blue, red = frame.planes(_SIDE)
    low, high, dark = _luma_at(luma, (0.02, 0.98, 0.99))
    # Whole steps of scale are several times faster than others; the rest starts from a ninth of the pixels.
    small = cv2.resize(luma, (luma.shape[1] // 3, luma.shape[0] // 3), interpolation=cv2.INTER_AREA)
    scale = _THUMB / max(small.shape)
    size = [max(2 * _MARGIN + 4, round(side * scale)) for side in reversed(small.shape)]
    thumb = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
    return Measure(
        sharpness=_sharpness(luma),
        dark=dark,
        spread=high - low,
        thumb=thumb.astype(np.float32),
        colours=_colours(small, blue, red),
        phash=phash64(small),
    )


def _luma_at(luma: Any, shares: tuple[float, ...]) -> list[float]:
    """Luma that each share of the pixels stays at or under."""
    counts = cv2.calcHist([luma], [0], None, [256], [0, 256]).ravel()
    return [float(v) for v in np.searchsorted(np.cumsum(counts), np.multiply(shares, luma.size))]


def _sharpness(luma: Any) -> float:
    laplacian = cv2.Laplacian(luma, cv2.CV_16S)
    energy = cv2.multiply(laplacian, laplacian, dtype=cv2.CV_32F)
    tiles = np.sort(_tiles(energy).ravel())[::-1]
    chosen = tiles[int(_TILES_FROM * tiles.size) : max(1, round(_TILES_TO * tiles.size))]
    return float(np.expm1(np.log1p(chosen).mean()))


def _tiles(values: Any) -> Any:
    """Means over tiles of `values`."""
    height, width = values.shape
    size = max(1, width // _TILE), max(1, height // _TILE)
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA)


def _colours(luma: Any, blue: Any, red: Any) -> NDArray[np.float32]:
    size = max(1, luma.shape[1] // 2), max(1, luma.shape[0] // 2)
    planes = [cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in (luma, blue, red)]
    # Chroma of real pictures hardly leaves the middle half of its range.
    ranges = [0, 256, 64, 192, 64, 192]
    counts = cv2.calcHist(planes, [0, 1, 2], None, [8, 8, 8], ranges).ravel()
    return np.asarray(counts / max(1.0, float(counts.sum())), dtype=np.float32)


def blur(frame: SampledFrame) -> float:
    """How blurred the sharper quarter of a frame is, 0 (crisp) to 1 (nothing but slopes).

    The re-blur measure of F. Crete et al., "The blur effect: perception and estimation with a new
    no-reference perceptual blur metric" (SPIE 6492, 2007): blurring again takes much from a sharp picture and
    little from a blurred one, whatever its content. Taken over the quarter of tiles with most gradient.
    """
    luma = frame.planes(_SIDE)[0].astype(np.float32)
    return max(_reblur(luma), _reblur(np.ascontiguousarray(luma.T)))


def _reblur(luma: NDArray[np.float32]) -> float:
    again = cv2.blur(luma, (1, 9))
    slopes = cv2.absdiff(luma[1:], luma[:-1])
    left = cv2.min(slopes, cv2.absdiff(again[1:], again[:-1]))
    slope_tiles, left_tiles = _tiles(slopes), _tiles(left)
    chosen = slope_tiles >= np.partition(slope_tiles.ravel(), -slope_tiles.size // 4)[-slope_tiles.size // 4]
    return float(left_tiles[chosen].sum() / max(1e-6, float(slope_tiles[chosen].sum())))


def colour_overlap(a: Measure, b: Measure) -> float:
    """Histogram intersection, 0..1 (M. Swain and D. Ballard, "Color Indexing", IJCV 1991)."""
    return float(np.minimum(a.colours, b.colours).sum())


def ncc_align(a: Measure, b: Measure) -> tuple[float, float]:
    """Likeness and local change of two frames once the camera's shift between them is taken out.

    Returns:
        (correlation, change): the best normalised cross-correlation, -1..1, of the inner part of b over a;
        and the largest mean difference of luma, 0..255, in any of 6 x 6 blocks at that shift, brightness
        levelled. A product of a thirtieth of the picture that comes or goes shows in the second.
    """
    if a.thumb.shape != b.thumb.shape:
        return 0.0, 255.0
    best, under, inner = _aligned(a, b)
    difference = np.abs((under - under.mean()) - (inner - inner.mean()))
    blocks = cv2.resize(difference, (_BLOCKS, _BLOCKS), interpolation=cv2.INTER_AREA)
    return best, float(blocks.max())


def _aligned(a: Measure, b: Measure) -> tuple[float, NDArray[np.float32], NDArray[np.float32]]:
    """The best correlation of the inner part of b over a, that part of a, and the inner part of b."""
    inner = b.thumb[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    scores = cv2.matchTemplate(a.thumb, inner, cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(scores)
    return float(best), a.thumb[y : y + inner.shape[0], x : x + inner.shape[1]], inner


def replaced(a: Measure, b: Measure) -> float:
    """Share, 0..1, of what stands out from its background that is not in the other frame, the lesser of both.

    Two products on one white background differ in little of the picture and in all that it shows; where
    something enters or leaves, the rest of one frame is still in the other. The background is the commonest
    luma; a shift of the camera and a change of light are taken out.
    """
    if a.thumb.shape != b.thumb.shape:
        return 0.0
    _, before, after = _aligned(a, b)
    difference = after - before
    changed = np.abs(difference - np.median(difference)) > _REPLACED
    return min(_share_of(changed, _stands_out(before)), _share_of(changed, _stands_out(after)))


def _share_of(changed: NDArray[np.bool_], stands_out: NDArray[np.bool_]) -> float:
    return float((changed & stands_out).sum() / max(1, int(stands_out.sum())))


def _stands_out(thumb: NDArray[np.float32]) -> NDArray[np.bool_]:
    bins = np.bincount((thumb.ravel() / _BACKGROUND).astype(int))
    commonest = (float(bins.argmax()) + 0.5) * _BACKGROUND
    return np.asarray(np.abs(thumb - commonest) > _BACKGROUND)


def is_dissolve(before: Measure, between: Measure, after: Measure) -> bool:
    """Whether `between` is a dissolve from `before` to `after`: explained as a weighted mean of both."""
    if not before.thumb.shape == between.thumb.shape == after.thumb.shape:
        return False
    span = (after.thumb - before.thumb).ravel()
    length = float(span @ span)
    if length < 1e-6:
        return False
    moved = (between.thumb - before.thumb).ravel()
    weight = float(moved @ span) / length
    left_over = float(np.sqrt(np.mean((moved - weight * span) ** 2)))
    return 0.1 < weight < 0.9 and left_over < 0.25 * float(np.sqrt(np.mean(span**2)))
