"""A product and a frame laid over each other, to the pixel and equally sharp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

if TYPE_CHECKING:
    from pvm_core.arrays import F32, F64, U8, Bools
    from pvm_core.verification.types import View

#: Below this no band is resolved, pixels.
MIN_SIDE: Final = 96
#: A residual displacement longer than this share of the side is no better alignment.
MAX_FLOW: Final = 0.05


@dataclass(frozen=True, eq=False)
class Patches:
    """A product and what a frame shows of it, at the scale that the coarser of the two resolves.

    Attributes:
        model, warped: (h, w, 3) uint8, longest side `MIN_SIDE` or more.
        seen: (h, w) bool, product that lies inside the frame.
        matrix: (3, 3) product pixels -> patch pixels.
    """

    model: U8
    warped: U8
    seen: Bools
    matrix: F64

    @property
    def side(self) -> int:
        """The longest side, pixels."""
        return int(max(self.seen.shape))


def lay_over(product: View, frame: View, matrix: F64, most: int) -> Patches | None:
    """The two pictures over each other; None where one of them is too small.

    Args:
        matrix: (3, 3) product pixels -> frame pixels.
        most: longest side of the patches, pixels.
    """
    import cv2

    height, width = product.rgb.shape[:2]
    x, y, w, h = (0, 0, width, height) if product.mask is None else cv2.boundingRect(product.mask)
    if min(w, h) < 8:
        x, y, w, h = 0, 0, width, height
    corners = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float32)
    shown = cv2.perspectiveTransform(corners[None], matrix)[0].astype(np.float32)
    longest = float(np.sqrt(cv2.contourArea(shown) / (w * h))) * max(w, h)
    side = min(most, max(w, h), longest)
    if side < MIN_SIDE:
        return None
    size = (max(16, round(w * side / max(w, h))), max(16, round(h * side / max(w, h))))
    sx, sy = size[0] / w, size[1] / h
    to_patch = np.array([[sx, 0, -x * sx], [0, sy, -y * sy], [0, 0, 1.0]])
    cut = np.ascontiguousarray(product.rgb[y : y + h, x : x + w])
    level = int(np.clip(np.floor(np.log2(max(longest / side, 1.0)) + 0.4), 0, len(frame.pyramid) - 1))
    source = frame.pyramid[level]
    shrink = source.shape[1] / frame.rgb.shape[1]
    to_frame = np.diag([shrink, shrink, 1.0]) @ matrix @ np.linalg.inv(to_patch)
    warped = cv2.warpPerspective(source, to_frame, size, flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR)
    whole = np.full(source.shape[:2], 255, np.uint8)
    seen = cv2.warpPerspective(whole, to_frame, size, flags=cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST) > 0
    model = cv2.resize(cut, size, interpolation=cv2.INTER_AREA)
    return Patches(cast("U8", model), cast("U8", warped), seen, to_patch)


def outline(given: Patches, piece: U8) -> tuple[float, ...]:
    """The box of a piece, in product pixels."""
    import cv2

    left, top, w, h = cv2.boundingRect(piece)
    corners = np.array([[left, top], [left + w, top], [left + w, top + h], [left, top + h]], np.float64)
    back = cv2.perspectiveTransform(corners[None], np.linalg.inv(given.matrix))[0]
    return tuple(round(float(v), 1) for v in back.ravel())


def odd(pixels: float) -> int:
    return int(max(3, round(pixels) | 1))


def square(pixels: float) -> U8:
    side = odd(pixels)
    return np.ones((side, side), np.uint8)


def aligned(given: Patches) -> U8:
    """The frame moved by a smooth, bounded flow: paper bends, and matches place it to a pixel or two."""
    import cv2

    library: Any = cv2  # its stubs lack the optical flow
    grey = [cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (given.model, given.warped)]
    even = cv2.createCLAHE(2.0, (4, 4))
    finder = library.DISOpticalFlow_create(library.DISOPTICAL_FLOW_PRESET_FAST)
    found = finder.calc(*(even.apply(g) for g in grey), None)
    side = given.side
    flow = cv2.GaussianBlur(found, (0, 0), 0.05 * side)
    long = np.hypot(flow[..., 0], flow[..., 1])
    flow = flow * np.minimum(1.0, MAX_FLOW * side / np.maximum(long, 1e-6))[..., None]
    ys, xs = np.mgrid[0 : long.shape[0], 0 : long.shape[1]].astype(np.float32)
    moved = cv2.remap(given.warped, xs + flow[..., 0], ys + flow[..., 1], cv2.INTER_LINEAR)
    return cast("U8", moved)


def as_sharp(model: U8, frame: U8, seen: Bools) -> tuple[U8, U8]:
    """Both as sharp as the less sharp one."""
    import cv2

    pair = [model, frame]
    detail = [_detail(x, seen) for x in pair]
    sharper, least = int(detail[1] >= detail[0]), min(detail)
    source = pair[sharper]
    for sigma in (0.5, 0.7, 1.0, 1.4, 2.0, 2.8):
        if _detail(pair[sharper], seen) <= 1.05 * least:
            break
        pair[sharper] = cast("U8", cv2.GaussianBlur(source, (0, 0), sigma))
    return pair[0], pair[1]


def _detail(rgb: U8, seen: Bools) -> float:
    import cv2

    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = cv2.Laplacian(grey, cv2.CV_32F)[seen]
    return float(np.sqrt(np.mean(fine * fine)) / (grey[seen].std() + 1.0))


def hull(given: Patches, matched: F32) -> Bools:
    import cv2

    spots = cv2.perspectiveTransform(matched[None].astype(np.float32), given.matrix)[0]
    filled = np.zeros(given.seen.shape, np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(spots.astype(np.int32)), (255,))
    return cv2.dilate(filled, square(0.12 * given.side)) > 0
