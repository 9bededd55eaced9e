"""Whether two product pictures are one, saved, cut, framed or stamped anew: nothing of the product differs.

Two listings of one product are told from two siblings by what differs *in place*: one picture is laid over
the other, and every window of the product must hold the same print and colour. What a seller laid over his
picture (a banner, a badge, a watermark) goes beyond the product; a sibling's other word or colour does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np

from pvm_core.arrays import F32, F64, U8, Bools
from pvm_core.verification import View
from pvm_core.verification.matching import UnitRows, match_frame

#: Raise where `is_same_picture` answers otherwise for the same pictures.
VERSION: Final = "1"
#: Matches that one upright similarity must explain, their share of all, and its tolerance in pixels of the
#: canvas.
_MATCHES: Final = 12
_MATCH_SHARE: Final = 0.35
_TOLERANCE: Final = 2.0
#: Keypoints of either picture that are matched, the strongest first.
_POINTS: Final = 400
#: Nearest over second nearest descriptor distance: copies match far better than photos of one product.
_RATIO: Final = 0.8
#: Turn in degrees, and stretch of one axis against the other, that a copy may have.
_TURN: Final = 1.5
_STRETCH: Final = 1.03
#: Longest side of the product on the canvas, pixels; less where a picture shows it smaller, down to the least
#: at which a word can be read.
_SIDE: Final = 256
_LEAST_SIDE: Final = 96
#: Share of either product that must lie in both pictures: what was cut away may be what differs.
_OVERLAP: Final = 0.85
#: Mean difference of lightness over 3 x 3 canvas pixels (levels), and of chroma over `_WINDOW` squared (Lab
#: units of OpenCV's 8 bits), from which two pictures differ. A digit of 2 % of the pack's height differs by
#: 19 or more; of 33 copies scaled to 0.63 and saved as JPEG 55 or 60 one differs by more than 13.
_LIGHTNESS: Final = 14.0
_CHROMA: Final = 10.0
_WINDOW: Final = 9
#: Canvas pixels by which differences are joined: the strokes of a word, the words of a banner.
_JOINED: Final = 7
#: Share of a difference that lies beside the product where it is something laid over the picture, and the
#: share of the product that may be covered so.
_BESIDE: Final = 0.12
_COVERED: Final = 0.35
#: Share of an overlay's pixels that are of one colour: a banner, a badge. Another silhouette is not.
_ONE_COLOUR: Final = 0.4
_COLOUR_TOLERANCE: Final = 20.0
#: A watermark: marks of at least this many levels on at least this share of the paper around the product,
#: and on the product strokes that each cover no more than the first share, in all no more than the second.
_MARK: Final = 8.0
_MARKED: Final = 0.005
_STROKE: Final = 0.015
_STROKES: Final = 0.15
#: Grey deviation (levels) from which a place is printed, and how well its print must show through a mark.
_PRINT: Final = 10.0
_SHOWS_THROUGH: Final = 0.5
#: Cosine of the mean chroma before and after: a mark pales a colour and turns no hue; below this chroma (Lab
#: units) there is no hue.
_SAME_HUE: Final = 0.97
_HUE_CHROMA: Final = 6.0
#: Canvas around the product, as a share of its longest side; pixels next to the product that are left out.
_AROUND: Final = 0.25
_HALO: Final = 9
#: Levels from the paper beyond which a pixel is the product, where no mask says so.
_PAPER: Final = 16.0


@dataclass(frozen=True, eq=False)
class _Laid:
    """Two pictures on one canvas: uint8 RGB and where each shows its product; `both`: seen in both."""

    one: U8
    two: U8
    product_one: Bools
    product_two: Bools
    both: Bools


def is_same_picture(one: View, two: View) -> bool:
    """Whether nothing of the product differs between two pictures; the order does not matter."""
    laid = _laid(one, two)
    if laid is None:
        return False
    product = (laid.product_one | laid.product_two) & laid.both
    for shown in (laid.product_one, laid.product_two):
        if (shown & laid.both).sum() < _OVERLAP * shown.sum():
            return False
    differs = _differences(laid)
    return _explained(differs, product, laid)


def _laid(one: View, two: View) -> _Laid | None:
    """Both on the canvas of the one that shows its product smaller; None where no upright copy is found."""
    shown = [_product(view.rgb) for view in (one, two)]
    if _extent(shown[0]) > _extent(shown[1]):
        one, two, shown = two, one, shown[::-1]
    matrix = _alignment(one, two)
    if matrix is None:
        return None
    x, y, w, h = _box(shown[0])
    factor = min(1.0, _SIDE / max(w, h))
    if max(w, h) * factor < _LEAST_SIDE:
        return None
    margin = round(_AROUND * max(w, h))
    origin = np.array([[factor, 0, (margin - x) * factor], [0, factor, (margin - y) * factor], [0, 0, 1.0]])
    size = (round((w + 2 * margin) * factor), round((h + 2 * margin) * factor))
    first, in_first = _drawn(one.rgb, origin, size)
    second, in_second = _drawn(two.rgb, origin @ np.linalg.inv(matrix), size)
    masks = [mask.astype(np.uint8) * 255 for mask in shown]
    product_one = (_drawn(masks[0], origin, size)[0] > 127) & in_first
    product_two = (_drawn(masks[1], origin @ np.linalg.inv(matrix), size)[0] > 127) & in_second
    return _Laid(first, second, product_one, product_two, in_first & in_second)


def _alignment(one: View, two: View) -> F64 | None:
    """(3, 3) pixels of `one` -> of `two`: scale and shift alone, else None."""
    import cv2

    rows = [UnitRows(view.keypoints.root[:_POINTS]) for view in (one, two)]
    (t,) = match_frame(rows[1], rows[:1], _RATIO)
    if len(t) < _MATCHES:
        return None
    src, dst = one.keypoints.xy[t.product], two.keypoints.xy[t.frame]
    scale = float(np.median(two.keypoints.scale[t.frame] / one.keypoints.scale[t.product]))
    found: Any = cv2.estimateAffine2D(
        src, dst, method=cv2.RANSAC, ransacReprojThreshold=_TOLERANCE * max(1.0, scale), maxIters=500
    )
    matrix, kept = found
    if matrix is None or kept.sum() < max(_MATCHES, _MATCH_SHARE * len(t)):
        return None
    across, along = matrix[:, 0], matrix[:, 1]
    stretch = np.hypot(*across) / max(float(np.hypot(*along)), 1e-9)
    turns = np.rad2deg([np.arctan2(across[1], across[0]), np.arctan2(-along[0], along[1])])
    if np.abs(turns).max() > _TURN or not 1 / _STRETCH < stretch < _STRETCH:
        return None
    return cast(F64, np.vstack([matrix, [0.0, 0.0, 1.0]]))


def _drawn(picture: U8, matrix: F64, size: tuple[int, int]) -> tuple[U8, Bools]:
    """A picture on a canvas of `size`, and where the canvas shows it; reduced by area, not by sampling."""
    import cv2

    shrink = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    if shrink < 1.0:
        reduced = (max(1, round(picture.shape[1] * shrink)), max(1, round(picture.shape[0] * shrink)))
        ratio = np.array([picture.shape[1] / reduced[0], picture.shape[0] / reduced[1], 1.0])
        picture = cast(U8, cv2.resize(picture, reduced, interpolation=cv2.INTER_AREA))
        # Pixel centres lie at half numbers: a plain ratio would shift the picture by half a pixel.
        shift = np.array([[ratio[0], 0, (ratio[0] - 1) / 2], [0, ratio[1], (ratio[1] - 1) / 2], [0, 0, 1]])
        matrix = matrix @ shift
    drawn = cv2.warpAffine(picture, matrix[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    whole = np.full(picture.shape[:2], 255, np.uint8)
    return cast(U8, drawn), cv2.warpAffine(whole, matrix[:2], size, flags=cv2.INTER_LINEAR) > 250


def _product(rgb: U8) -> Bools:
    """(h, w) bool: all but the paper that reaches the picture's border; all where the border is no paper."""
    import cv2

    rim = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
    colour = np.median(rim, axis=0)
    paper = np.abs(rgb.astype(np.float32) - colour).max(axis=-1) < _PAPER
    edge = np.concatenate([paper[0], paper[-1], paper[:, 0], paper[:, -1]])
    if edge.mean() < 0.5:
        return np.ones(rgb.shape[:2], bool)
    _, labels = cv2.connectedComponents(paper.astype(np.uint8))
    rim_labels = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    outer = np.isin(labels, np.unique(rim_labels[rim_labels > 0]))
    return cv2.morphologyEx((~outer).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3))) > 0


def _box(product: Bools) -> tuple[int, int, int, int]:
    import cv2

    x, y, w, h = cv2.boundingRect(product.astype(np.uint8))
    return (x, y, w, h) if w and h else (0, 0, product.shape[1], product.shape[0])


def _extent(product: Bools) -> int:
    return max(_box(product)[2:])


def _differences(laid: _Laid) -> Bools:
    """(h, w) bool: where print or colour differs, exposure evened out; what is near each other is joined."""
    import cv2

    seen = laid.product_one & laid.product_two & laid.both
    one, two = (cast(U8, cv2.GaussianBlur(p, (0, 0), 1.0)) for p in (laid.one, laid.two))
    if seen.any():
        gain = np.median(one[seen].astype(np.float32) - two[seen].astype(np.float32), axis=0)
        two = np.clip(two + np.clip(gain, -16, 16), 0, 255).astype(np.uint8)
    a, b = (cv2.cvtColor(p, cv2.COLOR_RGB2LAB).astype(np.float32) for p in (one, two))
    apart = a - b
    light = cv2.boxFilter(np.abs(apart[..., 0]), -1, (3, 3)) > _LIGHTNESS
    chroma = np.hypot(*(cv2.boxFilter(apart[..., n], -1, (_WINDOW, _WINDOW)) for n in (1, 2))) > _CHROMA
    # A copy in little colour resolution smears along one outline; another colour fills a place.
    solid = cv2.morphologyEx(chroma.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0
    # A window that hangs over either picture's border holds what is not there.
    whole = cv2.erode(laid.both.astype(np.uint8), np.ones((_WINDOW, _WINDOW), np.uint8), borderValue=0) > 0
    found = ((light | solid) & whole).astype(np.uint8)
    return cv2.morphologyEx(found, cv2.MORPH_CLOSE, np.ones((_JOINED, _JOINED), np.uint8)) > 0


def _explained(differs: Bools, product: Bools, laid: _Laid) -> bool:
    """Whether all that differs was laid over the picture: it goes on beside the product."""
    import cv2

    area = float(product.sum())
    beside = ~(laid.product_one & laid.product_two)
    marked = _watermarked(laid)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(differs.astype(np.uint8))
    covered = stroked = 0.0
    for label in range(1, len(stats)):
        part = labels == label
        share = (part & product & ~beside).sum() / area
        if share == 0.0:
            continue
        if (part & beside).sum() >= _BESIDE * stats[label, cv2.CC_STAT_AREA] and _is_one_colour(part, laid):
            covered += share
        elif marked is not None and share <= _STROKE and _shows_through(part, *marked):
            stroked += share
        else:
            return False
    return covered <= _COVERED and stroked <= _STROKES


def _is_one_colour(part: Bools, laid: _Laid) -> bool:
    """Whether what lies there in one of the pictures is mostly of one colour, and no paper."""
    for picture, product in ((laid.one, laid.product_one), (laid.two, laid.product_two)):
        there = picture[part & product].astype(np.float32)
        if len(there) < 0.9 * part.sum():
            continue
        same = np.abs(there - np.median(there, axis=0)).max(axis=1) < _COLOUR_TOLERANCE
        if same.mean() >= _ONE_COLOUR:
            return True
    return False


def _watermarked(laid: _Laid) -> tuple[F32, F32] | None:
    """The plain picture and the one with marks all around its product, in Lab; None where neither has."""
    import cv2

    around = np.ones((2 * _HALO + 1, 2 * _HALO + 1), np.uint8)
    # Marks are themselves no paper: only the product that both show is what they lie beside.
    core = (laid.product_one & laid.product_two).astype(np.uint8)
    paper = (cv2.dilate(core, around) == 0) & laid.both
    if paper.sum() < 100:
        return None
    smooth = (cv2.GaussianBlur(picture, (0, 0), 1.0) for picture in (laid.one, laid.two))
    labs = [cast(F32, cv2.cvtColor(p, cv2.COLOR_RGB2LAB).astype(np.float32)) for p in smooth]
    marks = [(np.abs(p[paper][:, 0] - np.median(p[paper][:, 0])) > _MARK).mean() for p in labs]
    if max(marks) - min(marks) < _MARKED:
        return None
    plain = int(marks[1] < marks[0])
    return labs[plain], labs[1 - plain]


def _shows_through(part: Bools, plain: F32, marked: F32) -> bool:
    """Whether what the plain picture has printed there is still seen under the mark."""
    a, b = plain[part], marked[part]
    before, after = a[:, 1:].mean(axis=0) - 128, b[:, 1:].mean(axis=0) - 128
    sizes = float(np.hypot(*before)), float(np.hypot(*after))
    if sizes[1] > sizes[0] + _HUE_CHROMA:
        return False
    if min(sizes) > _HUE_CHROMA and before @ after < _SAME_HUE * sizes[0] * sizes[1]:
        return False
    return a[:, 0].std() < _PRINT or bool(np.corrcoef(a[:, 0], b[:, 0])[0, 1] > _SHOWS_THROUGH)
