"""Warps the frame onto the product picture and compares print and colour there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, cast

import numpy as np

from pvm_core.arrays import F32, F64, U8, Bools
from pvm_core.verification.overlay import overlays

#: Longest side of the canvas on which both are compared, pixels: product print stays legible, cost stays low.
SIDE: Final = 160
#: Share of the product that must lie inside the frame for a comparison to mean anything.
MIN_VISIBLE: Final = 0.25
#: Window of the local correlation, canvas pixels.
WINDOW: Final = 11
#: Grey variance (squared levels) above which a window counts as printed rather than plain.
PRINTED: Final = 30.0
#: Canvas pixels around the hull of the matched places that still count as their neighbourhood.
CORE_MARGIN: Final = 10
#: Flow longer than this share of the canvas is not a better alignment but another picture.
MAX_FLOW: Final = 0.08
#: Chroma (Lab units) from which a place is coloured, and the turn of hue in degrees that no light explains.
HUE_CHROMA: Final = 12.0
HUE_TURN: Final = 60.0
#: Print that must agree before an overlay is looked for, and once it is left out, for it to be believed:
#: banners and stickers over true pairs leave 0.60 to 0.87, flat panels of siblings 0.11 to 0.39.
OVERLAY_TRIED: Final = 0.3
OVERLAY_PRINT: Final = 0.55
_TINY: Final = 1e-6


@dataclass(frozen=True, eq=False)
class Canvas:
    """A product picture cut to its mask and brought to the common size.

    Attributes:
        rgb: (h, w, 3) uint8, longest side `SIDE`.
        inside: (h, w) bool, the product without its outermost pixels.
        matrix: (3, 3) product pixels -> canvas pixels.
        grey: (h, w) uint8, evened contrast, for the flow.
        lab: (h, w, 3) float32.
    """

    rgb: U8
    inside: Bools
    matrix: F64
    grey: U8
    lab: F32


def make_canvas(rgb: U8, mask: U8 | None) -> Canvas:
    """The canvas of a product picture (uint8 RGB) and its mask (255 = product) or None."""
    import cv2

    height, width = rgb.shape[:2]
    x, y, w, h = (0, 0, width, height) if mask is None else cv2.boundingRect(mask)
    if w < 8 or h < 8:
        x, y, w, h, mask = 0, 0, width, height, None
    factor = SIDE / max(w, h)
    size = (max(16, round(w * factor)), max(16, round(h * factor)))
    kind = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    cut = cast(U8, cv2.resize(np.ascontiguousarray(rgb[y : y + h, x : x + w]), size, interpolation=kind))
    inside = np.ones(cut.shape[:2], bool)
    if mask is not None:
        small = cv2.resize(mask[y : y + h, x : x + w], size, interpolation=cv2.INTER_NEAREST)
        inside = cv2.erode(small, np.ones((5, 5), np.uint8)) > 0
    sx, sy = size[0] / w, size[1] / h
    matrix = np.array([[sx, 0, -x * sx], [0, sy, -y * sy], [0, 0, 1.0]])
    return Canvas(cut, inside, matrix, _evened(cut), _lab(cut))


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """Measurements of one comparison on the canvas; all None where nothing was warped.

    Attributes:
        visible: share of the product inside the frame, [0, 1].
        print_mid, print_low: median and lower quartile of the local grey correlation where the product is
            printed, [-1, 1].
        print_core: that median inside the hull of the matched places: what a picture without a mask has
            beside the product does not count.
        conflict: share of what is printed in both where the local correlation is below 0.2, [0, 1].
        edge_corr: agreement of edge directions weighted by their strength, [-1, 1].
        flow: median residual displacement as a share of the canvas side.
        flow_agree: share of printed places whose displacement one homography explains, [0, 1].
        colour_corr: joint correlation of the two chroma channels, [-1, 1].
        lab_corr: mean correlation of L, a and b, [-1, 1].
        colour_gap: 75th percentile of the chroma distance after white balance, Lab units.
        colour_worst: 95th percentile of the blockwise chroma distance, Lab units.
        hue_conflict: share of the product that is coloured in both and whose hue differs by more than
            `HUE_TURN`, after white balance, [0, 1].
        sharpness: frame pixels per canvas pixel; below 1 the frame shows less detail than the canvas.
        overlay: share of the product that a banner or sticker on either picture covers, [0, 1]: left out of
            all the others; None where there is none.
    """

    visible: float | None = None
    print_mid: float | None = None
    print_low: float | None = None
    print_core: float | None = None
    conflict: float | None = None
    edge_corr: float | None = None
    flow: float | None = None
    flow_agree: float | None = None
    colour_corr: float | None = None
    lab_corr: float | None = None
    colour_gap: float | None = None
    colour_worst: float | None = None
    hue_conflict: float | None = None
    sharpness: float | None = None
    overlay: float | None = None


def compare(canvas: Canvas, pyramid: list[U8], matrix: F64, inliers: F32) -> tuple[Appearance, F64] | None:
    """Measurements of a frame warped onto a product, and the transform refined by what was seen.

    Args:
        canvas: of the product.
        inliers: (N, 2) product pixels that geometry matched; their hull is the core.
        pyramid: the frame and its halvings.
        matrix: (3, 3) product pixels -> frame pixels.
    Returns:
        None where less than `MIN_VISIBLE` of the product lies inside the frame.
    """
    to_frame = matrix @ np.linalg.inv(canvas.matrix)
    first = _warp(canvas, pyramid, to_frame)
    if first is None:
        return None
    flow = _flow(canvas.grey, _evened(first[0]))
    better, agree = _refine(canvas, first[1], flow)
    if better is not None:
        second = _warp(canvas, pyramid, to_frame @ better)
        if second is not None:
            first, to_frame = second, to_frame @ better
            flow = _flow(canvas.grey, _evened(first[0]))
    warped, seen, sharpness = first
    core = _core(canvas, inliers)
    measured = _measure(canvas, warped, (seen, core), flow, agree, sharpness)
    measured = _without_overlays(measured, canvas, warped, (seen, core), agree) or measured
    refined = to_frame @ canvas.matrix
    return measured, refined / refined[2, 2]


def _without_overlays(
    first: Appearance, canvas: Canvas, warped: U8, where: tuple[Bools, Bools], agree: float
) -> Appearance | None:
    """What is measured beside the banners and stickers over either picture; None where there are none, or
    where the rest does not agree either."""
    if first.print_mid is None or first.sharpness is None or first.print_mid < OVERLAY_TRIED:
        return None
    covered = overlays(canvas.rgb, warped, where[0])
    if not covered.any():
        return None
    # Nothing is to be aligned there: the flow must not follow the overlay's outline.
    filled = np.where(covered[..., None], canvas.rgb, warped)
    flow, seen = _flow(canvas.grey, _evened(filled)), where[0] & ~covered
    second = _measure(canvas, filled, (seen, where[1]), flow, agree, first.sharpness)
    if (second.print_mid or 0.0) < OVERLAY_PRINT:
        return None
    share = float(covered.sum() / max(1, where[0].sum()))
    return replace(second, visible=first.visible, overlay=share)


def _core(canvas: Canvas, inliers: F32) -> Bools:
    """(h, w) bool: the hull of the matched places, widened by `CORE_MARGIN`."""
    import cv2

    spots = inliers @ canvas.matrix[:2, :2].T.astype(np.float32) + canvas.matrix[:2, 2].astype(np.float32)
    filled = np.zeros(canvas.inside.shape, np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(spots.astype(np.int32)), 255)
    side = 2 * CORE_MARGIN + 1
    return cv2.dilate(filled, np.ones((side, side), np.uint8)) > 0


def _warp(canvas: Canvas, pyramid: list[U8], to_frame: F64) -> tuple[U8, Bools, float] | None:
    import cv2

    height, width = canvas.inside.shape
    middle = to_frame @ (width / 2, height / 2, 1.0)
    jac = (to_frame[:2, :2] - np.outer(middle[:2] / middle[2], to_frame[2, :2])) / middle[2]
    scale = float(np.sqrt(abs(np.linalg.det(jac))))
    level = int(np.clip(np.floor(np.log2(max(scale, 1.0)) + 0.4), 0, len(pyramid) - 1))
    frame = pyramid[level]
    shrink = frame.shape[1] / pyramid[0].shape[1]
    m = np.diag([shrink, shrink, 1.0]) @ to_frame
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    warped = cv2.warpPerspective(frame, m, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    corners = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).reshape(-1, 2)
    h = np.c_[corners, np.ones(len(corners))] @ to_frame.T
    x, y = h[:, 0] / h[:, 2], h[:, 1] / h[:, 2]
    full = pyramid[0].shape
    seen = ((h[:, 2] > 0) & (x >= 0) & (y >= 0) & (x < full[1]) & (y < full[0])).reshape(height, width)
    seen &= canvas.inside
    if seen.sum() < max(200, MIN_VISIBLE * canvas.inside.sum()):
        return None
    return cast(U8, warped), seen, scale


def _evened(rgb: U8) -> U8:
    import cv2

    grey = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (0, 0), 0.8)
    return cast(U8, cv2.createCLAHE(2.0, (4, 4)).apply(grey))


def _lab(rgb: U8) -> F32:
    import cv2

    return cast(F32, cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32))


def _flow(grey: U8, warped: U8) -> F32:
    import cv2

    library: Any = cv2  # its stubs lack the optical flow
    finder = library.DISOpticalFlow_create(library.DISOPTICAL_FLOW_PRESET_FAST)
    # Half resolution and a wide smoothing: a flow free to follow every letter would align siblings too.
    flow = finder.calc(grey, warped, None)
    return cast(F32, cv2.GaussianBlur(flow, (0, 0), 6.0))


def _refine(canvas: Canvas, seen: Bools, flow: F32) -> tuple[F64 | None, float]:
    """The homography of the canvas that the flow asks for, and the share of places that agree with it."""
    import cv2

    step = 8
    ys, xs = np.mgrid[step // 2 : seen.shape[0] : step, step // 2 : seen.shape[1] : step]
    grey = canvas.grey.astype(np.float32)
    detail = cv2.boxFilter(grey * grey, -1, (9, 9)) - cv2.boxFilter(grey, -1, (9, 9)) ** 2
    good = seen[ys, xs] & (detail[ys, xs] > 4 * PRINTED)
    if good.sum() < 12:
        return None, 0.0
    src = np.stack([xs[good], ys[good]], axis=1).astype(np.float32)
    dst = src + flow[ys[good], xs[good]]
    found: Any = cv2.findHomography(src, dst, cv2.USAC_MAGSAC, 2.0, maxIters=300, confidence=0.99)
    matrix, kept = found
    if matrix is None or kept is None:
        return None, 0.0
    agree = float(kept.mean())
    moved = cv2.perspectiveTransform(src[None], matrix)[0] - src
    if agree < 0.4 or np.abs(moved).max() > 2.5 * MAX_FLOW * SIDE:
        return None, agree
    return cast(F64, matrix), agree


def _measure(
    canvas: Canvas, warped: U8, where: tuple[Bools, Bools], flow: F32, agree: float, sharpness: float
) -> Appearance:
    import cv2

    seen, core = where[0], where[0] & where[1]
    length = np.hypot(flow[..., 0], flow[..., 1])
    bounded = flow * np.minimum(1.0, MAX_FLOW * SIDE / np.maximum(length, _TINY))[..., None]
    ys, xs = np.mgrid[0 : seen.shape[0], 0 : seen.shape[1]].astype(np.float32)
    aligned = cast(U8, cv2.remap(warped, xs + bounded[..., 0], ys + bounded[..., 1], cv2.INTER_LINEAR))
    model = canvas.rgb
    if sharpness < 0.9:
        model = cast(U8, cv2.GaussianBlur(model, (0, 0), 0.5 / max(sharpness, 0.1)))
    lab_model, lab_frame = _lab(model), _lab(aligned)
    mid, low, inner, conflict = _print(lab_model[..., 0], lab_frame[..., 0], seen, core)
    corr, mean, gap, worst, turned = _colour(model, aligned, seen)
    return Appearance(
        visible=float(seen.sum() / max(1, canvas.inside.sum())),
        print_mid=mid,
        print_low=low,
        print_core=inner,
        conflict=conflict,
        edge_corr=_edges(lab_model[..., 0], lab_frame[..., 0], seen),
        flow=float(np.median(length[seen]) / SIDE),
        flow_agree=agree,
        colour_corr=corr,
        lab_corr=mean,
        colour_gap=gap,
        colour_worst=worst,
        hue_conflict=turned,
        sharpness=sharpness,
    )


def _print(a: F32, b: F32, seen: Bools, core: Bools) -> tuple[float, float, float, float]:
    """Of the local correlation: median, lower quartile, median in the core, share of contradicted print."""
    import cv2

    def mean(x: F32) -> F32:
        return cast(F32, cv2.boxFilter(x, -1, (WINDOW, WINDOW)))

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    local = cov / np.sqrt(np.maximum(va, 1) * np.maximum(vb, 1) + 25.0)
    printed = seen & (va > PRINTED)
    values = local[printed] if printed.sum() > 100 else local[seen]
    both = seen & (va > PRINTED) & (vb > PRINTED * max(0.1, float(np.median(vb[seen] / (va[seen] + 1)))))
    conflict = float((local[both] < 0.2).mean()) if both.sum() > 100 else 0.0
    low, mid = np.quantile(values, [0.25, 0.5])
    inner = local[printed & core]
    return float(mid), float(low), float(np.median(inner)) if inner.size > 50 else float(mid), conflict


def _edges(a: F32, b: F32, seen: Bools) -> float:
    import cv2

    ax, ay, bx, by = (cv2.Sobel(i, cv2.CV_32F, *d)[seen] for i in (a, b) for d in ((1, 0), (0, 1)))
    sa, sb = np.hypot(ax, ay), np.hypot(bx, by)
    weight = np.sqrt(sa * sb)
    cosine = (ax * bx + ay * by) / np.maximum(sa * sb, 1e-3)
    return float((weight * cosine).sum() / max(float(weight.sum()), _TINY))


def _colour(model: U8, aligned: U8, seen: Bools) -> tuple[float, float, float, float, float]:
    """Chroma and mean Lab correlation; after white balance: chroma gap, its worst block, hue conflict."""
    import cv2

    # Colour is compared at half the canvas: chroma of compressed video carries no more.
    size = (max(8, seen.shape[1] // 2), max(8, seen.shape[0] // 2))
    half = [
        cv2.GaussianBlur(cv2.resize(x, size, interpolation=cv2.INTER_AREA), (0, 0), 1.0)
        for x in (model, aligned)
    ]
    seen = cv2.resize(seen.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    a, b = (_lab(cast(U8, x))[seen] for x in half)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    cov, va, vb = (a * b).mean(axis=0), (a * a).mean(axis=0), (b * b).mean(axis=0)
    mean = float(np.mean(cov / np.sqrt(np.maximum(va, 4.0) * np.maximum(vb, 4.0))))
    chroma = float(cov[1:].sum() / np.sqrt(max(va[1:].sum(), 8.0) * max(vb[1:].sum(), 8.0)))
    one, two = _balanced_chroma(cast(U8, half[0]), cast(U8, half[1]), seen)
    distance = np.hypot(*np.moveaxis(one - two, -1, 0))
    weight = seen.astype(np.float32)
    block = (13, 13)
    local = cv2.boxFilter(distance * weight, -1, block) / np.maximum(cv2.boxFilter(weight, -1, block), 0.05)
    return (
        chroma,
        mean,
        float(np.quantile(distance[seen], 0.75)),
        float(np.quantile(local[seen], 0.95)),
        _hue_conflict(one[seen], two[seen]),
    )


def _hue_conflict(one: F32, two: F32) -> float:
    """Share of (N, 2) chroma pairs that are coloured in both and turned by more than `HUE_TURN`."""
    size_one, size_two = np.hypot(*one.T), np.hypot(*two.T)
    cosine = (one * two).sum(axis=1) / np.maximum(size_one * size_two, _TINY)
    coloured = (size_one > HUE_CHROMA) & (size_two > HUE_CHROMA)
    return float((coloured & (cosine < np.cos(np.deg2rad(HUE_TURN)))).mean())


def _balanced_chroma(model: U8, aligned: U8, seen: Bools) -> tuple[F32, F32]:
    """(h, w, 2) a and b around grey of both, after exposure and a bounded white balance are evened out."""
    a, b = (x.astype(np.float32) + 4.0 for x in (model, aligned))
    gain = np.median(np.log(a[seen]) - np.log(b[seen]), axis=0)
    light = gain.mean()
    # A frame may be lit yellow, but no lamp turns an orange carton green: 0.25 is a factor of 1.28.
    gain = light + np.clip(gain - light, -0.25, 0.25)
    even = np.clip(b * np.exp(gain), 0, 255).astype(np.uint8)
    one, two = (_lab(x)[..., 1:] - 128.0 for x in (np.clip(a, 0, 255).astype(np.uint8), even))
    return one, two
