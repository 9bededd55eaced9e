"""The sharp picture inside a frame: blurred fill, letterbox and pillarbox bars around it are masked out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pvm_core.masks.base import Bytes, MaskResult

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class FillParams:
    """What counts as fill.

    Attributes:
        side: longest side in pixels at which detail is looked for.
        detail: second difference of lightness (0-255) from which a pixel shows fine detail; above the ripple of
            H.264 and JPEG in a smooth region, below the faintest print.
        line_share: share of detailed pixels from which a row or column belongs to the sharp picture.
        coverage_min, coverage_max: share of the frame a sharp picture takes for the rest to be called fill.
        contrast: how many times denser detail must be inside than in the fill.
        margin: growth of the region, as a share of the longest side.
    """

    side: int = 320
    detail: int = 8
    line_share: float = 0.01
    coverage_min: float = 0.12
    coverage_max: float = 0.88
    contrast: float = 12.0
    margin: float = 0.008


def content_box(rgb: Bytes, params: FillParams = FillParams()) -> tuple[int, int, int, int]:  # noqa: B008
    """``(x0, y0, x1, y1)`` of the part of a picture that shows fine detail; all of it where there is hardly any."""
    import cv2

    h, w = rgb.shape[:2]
    detail = _detail(rgb, params)
    y0, y1 = _extent(detail.sum(axis=1), detail.shape[1], params)
    x0, x1 = _extent(detail[y0:y1].sum(axis=0), y1 - y0, params)
    if (y1 - y0) * (x1 - x0) < 0.05 * detail.size:
        return 0, 0, w, h
    sx, sy = w / detail.shape[1], h / detail.shape[0]
    return int(x0 * sx), int(y0 * sy), min(w, int(np.ceil(x1 * sx))), min(h, int(np.ceil(y1 * sy)))


def _detail(rgb: Bytes, params: FillParams) -> Bools:
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
    """First and last line of the run of lines with detail, in smoothed counts; everything where too few have."""
    detailed = counts >= max(2.0, params.line_share * length)
    detailed = np.convolve(detailed, np.ones(5), "same") >= 3
    where = np.flatnonzero(detailed)
    if len(where) < 0.1 * len(counts):
        return 0, len(counts)
    return int(where[0]), int(where[-1]) + 1


def sharp_region(rgb: Bytes, params: FillParams = FillParams()) -> MaskResult:  # noqa: B008
    return MaskResult.none("not-attempted")
