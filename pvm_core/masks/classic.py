"""The weight-free segmenter: plain backgrounds of catalogue pictures, blurred or black fill around clips."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from pvm_core.arrays import F32, U8, Bools
from pvm_core.ids import content_key
from pvm_core.masks.base import Kind, MaskResult
from pvm_core.masks.fill import FillParams, sharp_region


@dataclass(frozen=True)
class PlainParams:
    """What counts as a plain background. Colour distances are CIE Lab units (delta E 1976).

    Attributes:
        side: longest side in pixels at which the region is found.
        ring: width of the border that shows the background, as a share of the longest side.
        plain_share: share of the border that must agree on one smooth colour, [0, 1].
        spread_max: spread of the border around that colour (1 sigma) above which it is texture.
        tolerance_min, tolerance_max: bounds of the distance up to which a pixel is background.
        tolerance_sigmas: the distance as a multiple of the border's own spread.
        shadow_depth: how much darker than the background a soft shadow may be, L units.
        shadow_chroma: how much a shadow's colour may differ from the background's, ab units.
        shadow_step: steepest change of lightness inside a soft shadow, L units a pixel.
        part_min: smallest part of a product that is kept, as a share of the largest.
        coverage_min, coverage_max: share of the picture a trustworthy product takes.
        outline_contrast: a point of the outline counts as seen from this distance to the background.
        outline_share: share of the outline that must be seen.
        touch_side: share of a side from which a product touches it; a trustworthy one touches two at most.
        box_fill: share of its upright or turned bounding box from which a region's hull is taken for a box.
        one_share: share of the region that its largest part must have for it to be one thing.
        margin: the mask's growth, as a share of the longest side, so that outline features stay inside.
    """

    side: int = 320
    ring: float = 0.02
    plain_share: float = 0.55
    spread_max: float = 8.0
    tolerance_min: float = 3.0
    tolerance_max: float = 12.0
    tolerance_sigmas: float = 4.0
    shadow_depth: float = 45.0
    shadow_chroma: float = 7.0
    shadow_step: float = 2.2
    part_min: float = 0.02
    coverage_min: float = 0.02
    coverage_max: float = 0.97
    outline_contrast: float = 8.0
    outline_share: float = 0.35
    touch_side: float = 0.15
    box_fill: float = 0.86
    one_share: float = 0.6
    margin: float = 0.006


@dataclass(frozen=True)
class ClassicSegmenter:
    """Weight-free segmenter: ``product`` pictures by their plain background, ``frame`` by sharpness."""

    plain: PlainParams = field(default_factory=PlainParams)
    fill: FillParams = field(default_factory=FillParams)
    name: str = "classic"

    @property
    def key(self) -> str:
        """Changes with any parameter and with the version of the method."""
        values = [f"{f.name}={getattr(p, f.name)!r}" for p in (self.plain, self.fill) for f in fields(p)]
        return content_key("segmenter", self.name, "1", *values)

    def segment(self, rgb: U8, kind: Kind) -> MaskResult:
        """The mask of one picture, uint8 (H, W, 3); no mask with its reason where none can be trusted."""
        return sharp_region(rgb, self.fill) if kind == "frame" else plain_background(rgb, self.plain)


def plain_background(rgb: U8, params: PlainParams = PlainParams()) -> MaskResult:
    """The product on a plain, smoothly lit background, with its soft shadow taken away.

    A quadratic surface is fitted to the colours of the border (a backdrop is brighter in the middle), pixels
    that agree with it and hang together with the border are background, and so is what a soft shadow darkens.

    Returns:
        A mask with reason ``plain-background``; or none: ``textured-background``, ``fills-picture``,
        ``touches-border``, ``too-small``, ``low-contrast`` (a white product on white).
    """
    import cv2

    h, w = rgb.shape[:2]
    scale = min(1.0, params.side / max(h, w))
    size = (max(8, round(w * scale)), max(8, round(h * scale)))
    small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA) if scale < 1 else rgb)
    noisy = cv2.cvtColor(small.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab)
    lab = np.asarray(cv2.bilateralFilter(noisy, 5, 6.0, 2.0), dtype=np.float32)
    ring = _ring_of(lab.shape[:2], max(2, round(params.ring * max(size))))
    backdrop, spread, share = fit_backdrop(lab, ring)
    if share < params.plain_share or spread > params.spread_max:
        return MaskResult.none("textured-background")
    tolerance = float(np.clip(params.tolerance_sigmas * spread, params.tolerance_min, params.tolerance_max))
    difference = lab - backdrop
    product = _product_region(difference, tolerance, params)
    verdict = _judge(product, difference, ring, params)
    if verdict:
        return MaskResult.none(verdict)
    grow = max(1, round(params.margin * max(size)))
    grown = cv2.dilate(product, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1)))
    mask = cv2.resize(grown, (w, h), interpolation=cv2.INTER_LINEAR) if scale < 1 else grown
    return MaskResult.of(np.where(mask >= 128, 255, 0).astype(np.uint8), "plain-background")


def _ring_of(shape: tuple[int, ...], width: int) -> Bools:
    ring = np.ones(shape, dtype=bool)
    ring[width:-width, width:-width] = False
    return ring


def fit_backdrop(lab: F32, ring: Bools, rounds: int = 6) -> tuple[F32, float, float]:
    """A quadratic colour surface through the border, robust to a product that touches it.

    Args:
        lab: float32 (H, W, 3), CIE Lab.
        ring: bool (H, W), the border pixels.
        rounds: re-fits on the pixels that agree.

    Returns:
        The surface (H, W, 3), the spread of agreeing pixels around it (delta E, 1 sigma), and the share of
        border pixels that agree with it, [0, 1].
    """
    h, w = lab.shape[:2]
    y, x = np.mgrid[-1 : 1 : complex(0, h), -1 : 1 : complex(0, w)].astype(np.float32)
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1)
    # Every second border pixel is plenty for six coefficients.
    colours, basis = lab[ring][::2], terms[ring][::2]
    # The commonest border colour, not the mean: a product that touches two sides must not pull it.
    cells = np.round(colours / 6.0).astype(np.int64) @ np.array([1_000_000, 1_000, 1])
    values, counts = np.unique(cells, return_counts=True)
    start = np.median(colours[cells == values[counts.argmax()]], axis=0)
    agree = np.linalg.norm(colours - start, axis=1) < 14.0
    fitted = np.broadcast_to(start, colours.shape)
    for step in range(rounds):
        # A surface bends only once a wide part of the border supports it.
        count = 6 if agree.mean() > 0.5 and step else 1
        used = basis[agree, :count]
        weights = np.linalg.lstsq(used.T @ used, used.T @ colours[agree], rcond=None)[0]
        fitted = basis[:, :count] @ weights
        distance = np.linalg.norm(colours - fitted, axis=1)
        agree = distance < max(3.0, 3.0 * 1.4826 * float(np.median(distance[agree])))
    spread = 1.4826 * float(np.median(distance[agree]))
    surface = (terms[..., :count] @ weights).astype(np.float32)
    return surface, spread, float(agree.mean())


def _product_region(difference: F32, tolerance: float, params: PlainParams) -> U8:
    """uint8 (H, W), 255 = product: neither background that hangs together with the border, nor its shadow."""
    import cv2

    distance = np.sqrt((difference**2).sum(axis=2))
    light = difference[..., 0]
    step = cv2.magnitude(cv2.Scharr(light, cv2.CV_32F, 1, 0), cv2.Scharr(light, cv2.CV_32F, 0, 1)) / 32.0
    chroma = np.hypot(difference[..., 1], difference[..., 2])
    shadow = (light < 0) & (light > -params.shadow_depth) & (chroma < params.shadow_chroma)
    shadow &= step < params.shadow_step
    background = _joined_to_border((distance < tolerance) | shadow)
    background |= _joined_to_border(distance < tolerance)
    product = np.where(background, 0, 255).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    opened = cv2.morphologyEx(product, cv2.MORPH_OPEN, disc)
    closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, disc)
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = [cv2.contourArea(c) for c in contours]
    kept = [c for c, a in zip(contours, areas, strict=True) if a >= params.part_min * max(areas)]
    filled = np.zeros_like(product)
    # Several parts of like size are several things: their hull would swallow what lies between.
    one = bool(kept) and max(areas) >= params.one_share * sum(cv2.contourArea(c) for c in kept)
    if one and _is_box(hull := np.asarray(cv2.convexHull(np.concatenate(kept)), np.int32), params):
        # White panels of a carton leak into a white background; what is convex and boxed in is the carton.
        kept = [hull]
    # Outer contours only: a hole of background colour inside a product is most often the product's own white.
    cv2.drawContours(filled, kept, -1, 255, cv2.FILLED)
    return np.asarray(filled, dtype=np.uint8)


def _is_box(hull: NDArray[np.int32], params: PlainParams) -> bool:
    import cv2

    (_, (width, height), _) = cv2.minAreaRect(hull)
    return cv2.contourArea(hull) >= params.box_fill * max(width * height, 1.0)


def _joined_to_border(candidates: Bools) -> Bools:
    import cv2

    framed = cv2.copyMakeBorder(candidates.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    _, labels = cv2.connectedComponents(framed, connectivity=4)
    joined: Bools = labels[1:-1, 1:-1] == labels[0, 0]
    return joined


def _judge(product: U8, difference: F32, ring: Bools, params: PlainParams) -> str:
    """Why the region cannot be trusted; empty where it can."""
    import cv2

    coverage = np.count_nonzero(product) / product.size
    if coverage < params.coverage_min:
        return "too-small" if coverage > 0 else "low-contrast"
    if coverage > params.coverage_max:
        return "fills-picture"
    sides = (product[1], product[-2], product[:, 1], product[:, -2])
    if sum((side > 0).mean() > params.touch_side for side in sides) > 2:
        return "touches-border"
    inner = cv2.erode(product, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
    outline = (product > 0) & (inner == 0) & ~ring
    distance = cv2.dilate(np.sqrt((difference**2).sum(axis=2)), np.ones((3, 3), np.uint8))
    seen = distance[outline] > params.outline_contrast
    return "" if seen.size and seen.mean() >= params.outline_share else "low-contrast"
