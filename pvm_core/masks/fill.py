"""The sharp picture inside a frame: blurred fill, letterbox and pillarbox bars around it are masked out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pvm_core.arrays import U8, Bools
from pvm_core.masks.base import MaskResult

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class FillParams:
    """What counts as fill.

    Attributes:
        side: longest side in pixels at which detail is looked for.
        detail: second difference of lightness (0-255) from which a pixel shows fine detail; above the ripple
            of H.264 and JPEG in a smooth region, below the faintest print.
        line_share: share of detailed pixels from which a row or column belongs to the sharp picture.
        coverage_min, coverage_max: share of the frame a sharp picture takes for the rest to be called fill.
        contrast: how many times denser detail must be inside than in the fill.
        reach: share of the frame's width or height the sharp picture spans.
        plain_spread: spread of the fill's colours (0-255, 1 sigma) below which it is called bars.
        margin: growth of the region, as a share of the longest side.
    """

    side: int = 320
    detail: int = 8
    line_share: float = 0.01
    coverage_min: float = 0.12
    coverage_max: float = 0.88
    contrast: float = 12.0
    reach: float = 0.9
    plain_spread: float = 4.0
    margin: float = 0.008


def content_box(rgb: U8, params: FillParams = FillParams()) -> Box:
    """``(x0, y0, x1, y1)`` of the part with fine detail; the whole picture where there is hardly any."""
    h, w = rgb.shape[:2]
    detail = _detail(rgb, params)
    y0, y1 = _extent(detail.sum(axis=1), detail.shape[1], params)
    x0, x1 = _extent(detail[y0:y1].sum(axis=0), y1 - y0, params)
    if (y1 - y0) * (x1 - x0) < 0.05 * detail.size:
        return 0, 0, w, h
    sx, sy = w / detail.shape[1], h / detail.shape[0]
    return int(x0 * sx), int(y0 * sy), min(w, int(np.ceil(x1 * sx))), min(h, int(np.ceil(y1 * sy)))


def _detail(rgb: U8, params: FillParams) -> Bools:
    """bool (h, w) at working size: pixels whose second difference reaches `params.detail`."""
    import cv2

    h, w = rgb.shape[:2]
    scale = min(1.0, params.side / max(h, w))
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        size = (max(1, round(w * scale)), max(1, round(h * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    found: Bools = np.abs(cv2.Laplacian(grey, cv2.CV_16S, ksize=1)) > params.detail
    return found


def _extent(counts: NDArray[np.int64], length: int, params: FillParams) -> tuple[int, int]:
    """First line with detail and the one past the last; all lines where too few have any."""
    detailed = counts >= max(2.0, params.line_share * length)
    detailed = np.convolve(detailed, np.ones(5), "same") >= 3
    where = np.flatnonzero(detailed)
    if len(where) < 0.1 * len(counts):
        return 0, len(counts)
    return int(where[0]), int(where[-1]) + 1


def _crowded(detail: Bools) -> U8:
    """uint8 (h, w), 1 = a detailed pixel in good company; a caption's or an artefact's few are left out."""
    import cv2

    # Gaps of up to 10 pixels join, so that the sparse print of one picture stays one group.
    joined = cv2.dilate(detail.astype(np.uint8), np.ones((11, 11), np.uint8))
    _, labels = cv2.connectedComponents(joined)
    counts = np.bincount(labels[detail], minlength=int(labels.max()) + 1)
    strong = counts >= 0.05 * counts.max()
    return np.asarray(detail & strong[labels], dtype=np.uint8)


def sharp_region(rgb: U8, params: FillParams = FillParams()) -> MaskResult:
    """The sharp picture inside a frame with blurred or plain fill around it.

    Detailed pixels with detailed neighbours are gathered in their convex hull (a picture that turns inside
    the clip has slanted edges). A hull that reaches across the frame and leaves a part without detail is it.

    Returns:
        A mask with reason ``blurred-fill`` or ``bars`` (plain fill); or none: ``no-detail``, ``no-fill``.
    """
    import cv2

    detail = _detail(rgb, params)
    h, w = detail.shape
    points = cv2.findNonZero(_crowded(detail))
    if points is None or len(points) < 0.003 * detail.size:
        return MaskResult.none("no-detail")
    hull = cv2.convexHull(points)
    region = np.zeros((h, w), dtype=np.uint8)
    cv2.fillConvexPoly(region, hull, 255)
    grow = max(1, round(params.margin * max(h, w)))
    region[:] = cv2.dilate(region, np.ones((2 * grow + 1, 2 * grow + 1), np.uint8))
    coverage = np.count_nonzero(region) / region.size
    _, _, width, height = cv2.boundingRect(hull)
    if not params.coverage_min <= coverage <= params.coverage_max:
        return MaskResult.none("no-fill" if coverage > params.coverage_max else "no-detail")
    if width < params.reach * w and height < params.reach * h:
        return MaskResult.none("no-fill")
    inside, outside = detail[region > 0].mean(), detail[region == 0].mean()
    if outside * params.contrast > inside:
        return MaskResult.none("no-fill")
    large = cv2.resize(region, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_LINEAR)
    mask = np.where(large >= 128, 255, 0).astype(np.uint8)
    # Every fourth row and column tell whether the fill is one colour.
    around = rgb[::4, ::4][mask[::4, ::4] == 0]
    plain = around.size > 0 and float(around.std(axis=0).mean()) < params.plain_spread
    return MaskResult.of(mask, "bars" if plain else "blurred-fill")
