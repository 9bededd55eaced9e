"""The picture that proves a match: product and frame, what agrees, and the score, on one page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pvm_core.evidence.sheet import CARD, HAIRLINE, INK, MUTED, TRACK, Colour, Page, Rect, fit, resized
from pvm_core.evidence.typography import width, wrap
from pvm_core.evidence.words import Language, say
from pvm_core.figures import score_text
from pvm_core.images import Rgb
from pvm_core.scoring.composition import composition
from pvm_core.scoring.verdict import OVERRULES, Verdict

#: Largest evidence file, bytes: what a chat or a review page loads at once.
MAX_EVIDENCE_BYTES: Final = 300_000
_WIDTH: Final = 1500
_MARGIN: Final = 40
_PAD: Final = 24
_STAGE_HEIGHT: Final = 600
_SIDE_WIDTH: Final = 300
_HEADER: Final = 132
_FOOT: Final = 232
_HEIGHT: Final = _HEADER + _STAGE_HEIGHT + 2 * _PAD + 34 + _FOOT
_SIDE_WIDEST: Final = 520
#: The picture for narrow screens: its width, its margin, the width between margins, the smallest type; the
#: height that its longest texts and tallest pictures stay below.
_NARROW: Final = 780
_EDGE: Final = 24
_ACROSS: Final = _NARROW - 2 * _EDGE
_SET: Final = 26
_TALLEST: Final = 3_600
#: Lines and dots drawn at most; more hide what they point at.
_MAX_LINES: Final = 32
_MAX_DOTS: Final = 80
#: Colour of a line by its residual, from exact to loose; the residual at which it is loose, frame pixels.
_EXACT: Final[Colour] = (46, 224, 138)
_LOOSE: Final[Colour] = (255, 184, 56)
_LOOSE_PX: Final = 6
#: The rival's picture, pixels a side.
_RIVAL_SIDE: Final = 104
_HALO: Final[Colour] = (12, 20, 18)
#: Frame around the region that differs.
_DIFFERENT: Final[Colour] = (255, 72, 200)
#: (fill of chip and bar, words, outline in the frame) of a status.
_STATUS: Final[Mapping[str, tuple[Colour, str, Colour]]] = {
    "accepted": ((22, 118, 78), "Accepted", (46, 224, 138)),
    "review": ((158, 96, 8), "For review", (255, 184, 56)),
    "rejected": ((166, 56, 44), "Rejected", (255, 104, 92)),
}
_JUDGED: Final[Mapping[Verdict, str]] = {"accept": "Judged right", "reject": "Judged wrong"}
#: Terms in the order of their weight: (key, words, weight's name).
_TERMS: Final = (
    ("sim_kp", "Matched points", "sim_kp"),
    ("sim_deep", "Overall look", "sim_deep"),
    ("sim_edge", "Print and colour", "sim_edge"),
)


@dataclass(frozen=True, eq=False)
class Rival:
    """Another product that fits the same place of the frame.

    Attributes:
        title: its name, any script; score: of its pair, [0, 1].
        rgb: its picture, RGB uint8 (H, W, 3); None where it is not kept.
    """

    title: str
    score: float
    rgb: Rgb | None = None


@dataclass(frozen=True, eq=False)
class EvidenceInput:
    """What an evidence picture shows.

    Attributes:
        product_rgb, frame_rgb: the two stored pictures, RGB uint8 (H, W, 3).
        transform: 3x3 or nine numbers, row-major, product pixels -> frame pixels; None where none was found.
        inliers_product, inliers_frame: (N, 2), the points the transform explains; empty for none.
        inliers: how many there are where only some of them are given.
        product_mask: uint8 (H, W), 255 = product; where None the outline follows the picture's plain ground.
        score: of the match, [0, 1]; None where there is none.
        status: accepted, review or rejected by the score.
        verdict: what people said of it; the status shown is theirs where they decided.
        best: score of the pair shown, [0, 1]; explains the match's score where it differs.
        rival: the product that contests the pair, None without.
        language: of every text but those given here.
        differs: corners of the region of another colour in product pixels, x0 y0 .. x3 y3; None: none.
        terms: calibrated terms by name (sim_kp, sim_deep, sim_edge), [0, 1]; None = not measured.
        weights: weight of each term by the same names, for the small print beside the bars.
        accept: the threshold of acceptance, [0, 1].
        ts: second of the frame.
        product_title, product_ref: name and id of the product as its source gives them, any script.
        video_name: of the video as given.
        reason: why the status is what it is, one sentence.
        facts: short statements about the match, e.g. "seen in 3 shots".
        small_print: model, calibration and the like.
    """

    product_rgb: Rgb
    frame_rgb: Rgb
    transform: Sequence[float] | NDArray[Any] | None = None
    inliers_product: NDArray[Any] | Sequence[Sequence[float]] = ()
    inliers_frame: NDArray[Any] | Sequence[Sequence[float]] = ()
    inliers: int | None = None
    product_mask: NDArray[np.uint8] | None = None
    score: float | None = None
    status: str = "review"
    verdict: Verdict | None = None
    best: float | None = None
    rival: Rival | None = None
    language: Language = "en"
    differs: Sequence[float] | None = None
    terms: Mapping[str, float | None] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    accept: float = 0.80
    ts: float = 0.0
    product_title: str = ""
    product_ref: str = ""
    video_name: str = ""
    reason: str = ""
    facts: Sequence[str] = ()
    small_print: Sequence[str] = ()

    @property
    def shown_status(self) -> str:
        """The status with a verdict standing over the score."""
        return OVERRULES.get(self.verdict, self.status) if self.verdict else self.status


@dataclass(frozen=True, eq=False)
class _Geometry:
    """The usable part of the geometry: finite, and in front of the camera where an outline is drawn."""

    transform: NDArray[np.float64] | None
    outline: NDArray[np.float64]
    crop: Rect
    outline_in_frame: NDArray[np.float64] | None
    product: NDArray[np.float64]
    frame: NDArray[np.float64]


def timestamp(seconds: float) -> str:
    """``mm:ss.d``, cut, with hours in front from one hour on; not a number becomes ``--:--``."""
    if not math.isfinite(seconds * 10) or seconds < 0:
        return "--:--"
    tenths = math.floor(seconds * 10 + 1e-6)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clock = f"{minutes:02d}:{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{clock}" if hours else clock


def render_evidence(given: EvidenceInput) -> Rgb:
    """The evidence picture, RGB uint8 (about 1080, 1500, 3); about 40 ms of one core.

    A transform that is not finite or folds the product over is left out and the page says that no
    alignment could be shown; it never fails for odd geometry or text.

    Raises:
        ValueError: a picture is not uint8 (H, W, 3) with at least one pixel.
    """
    rival = given.rival.rgb if given.rival is not None else None
    for rgb in (given.product_rgb, given.frame_rgb, *(() if rival is None else (rival,))):
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
            raise ValueError(f"a picture must be uint8 (H, W, 3), not {rgb.dtype} {rgb.shape}")
    geometry = _geometry(given)
    header, foot = _HEADER, _FOOT
    page = Page(_WIDTH, _HEIGHT)
    _header(page, given)
    stage = Rect(_MARGIN, header, _WIDTH - 2 * _MARGIN, _STAGE_HEIGHT + 2 * _PAD + 34)
    page.box(stage, CARD, 14, HAIRLINE)
    _stage(page, given, geometry, stage)
    _scores(page, given, Rect(_MARGIN, stage.bottom + 28, 700, foot - 60))
    _words(
        page, given, geometry, Rect(_MARGIN + 780, stage.bottom + 28, _WIDTH - 2 * _MARGIN - 780, foot - 60)
    )
    return page.finish()


def render_portrait(given: EvidenceInput) -> Rgb:
    """The evidence picture for a narrow screen, RGB uint8 (H, 780, 3): catalogue picture above frame, then
    both laid over each other, then what is said. Every letter is at least 26 pixels high as set, which is 12
    CSS pixels where the picture is 360 wide. The terms are left out: the page beside it has them.

    Raises:
        ValueError: a picture is not uint8 (H, W, 3) with at least one pixel.
    """
    for rgb in (given.product_rgb, given.frame_rgb):
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
            raise ValueError(f"a picture must be uint8 (H, W, 3), not {rgb.dtype} {rgb.shape}")
    geometry = _geometry(given)
    page = Page(_NARROW, _TALLEST)
    y = _portrait_pictures(page, given, geometry, _portrait_header(page, given))
    y = _portrait_words(page, given, geometry, y + 48)
    return page.finish()[: y + 8]


def _portrait_header(page: Page, given: EvidenceInput) -> int:
    """Status, score, product, video and second; the row below them."""
    fill, word, _ = _colours(given)
    score = "–" if given.score is None or not math.isfinite(given.score) else score_text(given.score)
    page.text(_NARROW - _EDGE, 70, score, 60, fill, "bold", align="right")
    word = say(given.language, word)
    page.box(Rect(_EDGE, 22, int(width(word, 28, "bold")) + 76, 56), fill, 28)
    _mark(page, given.shown_status, _EDGE + 32, 50)
    page.text(_EDGE + 54, 60, word, 28, CARD, "bold")
    y = 96
    title = given.product_title or given.product_ref or say(given.language, "Product")
    for line in wrap(title, 30, _ACROSS, 2, "bold"):
        y += 36
        page.text(_EDGE, y, line, 30, INK, "bold")
    video = given.video_name or say(given.language, "video")
    when = f"  {say(given.language, 'at')} {timestamp(given.ts)}"
    x = page.text(_EDGE, y + 38, video, _SET, MUTED, room=_ACROSS - width(when, _SET))
    page.text(_EDGE + x, y + 38, when, _SET, INK)
    return y + 62


def _portrait_pictures(page: Page, given: EvidenceInput, geometry: _Geometry, y: int) -> int:
    """The pictures under each other, each under its name; the row below them."""
    product = _cut(given.product_rgb, geometry.crop)
    page.text(_EDGE, y + 26, say(given.language, "Catalogue picture"), _SET, MUTED)
    above = fit(product.shape, Rect(_EDGE, y + 42, _ACROSS, 460))
    above = Rect(above.x, y + 42, above.w, above.h)
    below = fit(given.frame_rgb.shape, Rect(_EDGE, above.bottom + 48, _ACROSS, 900))
    below = Rect(below.x, above.bottom + 48, below.w, below.h)
    # Lines run between the pictures: the frame's name stands below it.
    name = say(given.language, "Video frame at {at}", at=timestamp(given.ts))
    page.text(_EDGE, below.bottom + 34, name, _SET, MUTED, room=_ACROSS)
    y = below.bottom + 56
    page.picture(product, above)
    page.picture(_outlined(given.frame_rgb, geometry, below, _colours(given)[2]), below)
    _lines(page, given, geometry, above, below)
    _difference(page, given, geometry, above, below)
    if geometry.transform is None:
        return y
    crop = _around(geometry.outline, given.product_rgb.shape, 0.0)
    half = (_ACROSS - 20) // 2
    first = fit((crop.h, crop.w), Rect(_EDGE, y + 42, half, 460))
    first = Rect(first.x, y + 42, first.w, first.h)
    page.text(_EDGE, y + 26, say(given.language, "Catalogue"), _SET, MUTED, room=half)
    words = say(given.language, "Video, turned")
    page.text(_EDGE + half + 20, y + 26, words, _SET, MUTED, room=half)
    _twins(page, given, geometry, first, Rect(first.x + half + 20, first.y, first.w, first.h))
    return first.bottom


def _portrait_words(page: Page, given: EvidenceInput, geometry: _Geometry, y: int) -> int:
    """What is said, and the legend; the row below them."""
    said = _sentences(given, geometry)
    if given.rival is not None:
        rival = say(given.language, "Rival: {product}", product=given.rival.title)
        said.append((f"{rival}, {score_text(given.rival.score)}", INK))
    said.extend((figure, MUTED) for figure in _figures(given, geometry))
    said.extend((line, MUTED) for line in given.small_print)
    for text, colour in said:
        for line in wrap(text, _SET, _ACROSS, 3):
            page.text(_EDGE, y, line, _SET, colour)
            y += 36
    if len(geometry.product):
        loose = say(given.language, "{pixels} px off", pixels=_LOOSE_PX)
        page.text(_EDGE, y, say(given.language, "Lines join points that agree:"), _SET, MUTED, room=_ACROSS)
        x, y = float(_EDGE), y + 36
        for colour, text in ((_EXACT, say(given.language, "exactly")), (_LOOSE, loose)):
            page.box(Rect(round(x), y - 12, 40, 6), colour, 3)
            x += 50 + page.text(x + 50, y, text, _SET, MUTED) + 24
        y += 36
    return y


def evidence_stage(rgb: Rgb) -> Rgb:
    """The part of an evidence picture, at any size, where product and frame stand side by side; a picture of
    other proportions is returned whole."""
    high, wide = rgb.shape[:2]
    scale = wide / _WIDTH
    if abs(high - _HEIGHT * scale) > 2:
        return rgb
    left, top = _MARGIN + _PAD // 2, _HEADER + _PAD // 2
    return rgb[
        round(top * scale) : round((top + _STAGE_HEIGHT + _PAD) * scale),
        round(left * scale) : round((_WIDTH - left) * scale),
    ]


def _geometry(given: EvidenceInput) -> _Geometry:
    product, frame = _points(given.inliers_product), _points(given.inliers_frame)
    count = min(len(product), len(frame))
    product, frame = product[:count], frame[:count]
    sound = np.isfinite(product).all(axis=1) & np.isfinite(frame).all(axis=1)
    outline = _product_outline(given.product_rgb, given.product_mask)
    crop = _around(outline, given.product_rgb.shape)
    transform = _matrix(given.transform)
    drawn = None if transform is None else _project(transform, outline)
    if drawn is None:
        transform = None
    return _Geometry(transform, outline, crop, drawn, product[sound], frame[sound])


def _points(given: NDArray[Any] | Sequence[Sequence[float]]) -> NDArray[np.float64]:
    points = np.asarray(given, np.float64)
    return points.reshape(-1, 2) if points.size else np.zeros((0, 2))


def _matrix(given: Sequence[float] | NDArray[Any] | None) -> NDArray[np.float64] | None:
    if given is None:
        return None
    matrix = np.asarray(given, np.float64)
    if matrix.size != 9 or not np.isfinite(matrix).all():
        return None
    largest = float(np.abs(matrix).max())
    if largest == 0:
        return None
    # A homography's scale means nothing; at most 1 keeps products of its numbers finite.
    matrix = matrix.reshape(3, 3) / largest
    return matrix if abs(float(np.linalg.det(matrix))) > 1e-18 else None


def _project(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """`points` through `matrix`; None where one falls behind the camera or far outside any picture."""
    full = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    w = full[:, 2]
    if not (np.all(w > 1e-9) or np.all(w < -1e-9)):
        return None
    flat = full[:, :2] / w[:, None]
    return flat if np.isfinite(flat).all() and float(np.abs(flat).max()) < 1e5 else None


def _product_outline(rgb: Rgb, mask: NDArray[np.uint8] | None) -> NDArray[np.float64]:
    """The product's outline in its picture, (N, 2): of the mask, of what stands out, or the whole picture."""
    high, wide = rgb.shape[:2]
    frame = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float64)
    if mask is None:
        mask = _standing_out(rgb)
    elif mask.shape != (high, wide):
        mask = np.asarray(cv2.resize(mask, (wide, high), interpolation=cv2.INTER_NEAREST), np.uint8)
    if mask is None:
        return frame
    shapes, _ = cv2.findContours((mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not shapes:
        return frame
    largest = max(shapes, key=cv2.contourArea)
    share = cv2.contourArea(largest) / (high * wide)
    if not 0.03 < share < 0.97:
        return frame
    smooth = cv2.approxPolyDP(cv2.convexHull(largest), 0.004 * (high + wide), closed=True)
    return smooth[:, 0].astype(np.float64)


def _around(outline: NDArray[np.float64], shape: tuple[int, ...], margin: float = 0.06) -> Rect:
    """The box around `outline` with a margin (share of its longer side), inside the picture."""
    high, wide = shape[:2]
    low, top = outline.min(axis=0), outline.max(axis=0)
    pad = margin * float((top - low).max())
    x0, y0 = int(np.clip(low[0] - pad, 0, wide - 1)), int(np.clip(low[1] - pad, 0, high - 1))
    x1, y1 = int(np.ceil(min(top[0] + pad, wide))), int(np.ceil(min(top[1] + pad, high)))
    return Rect(x0, y0, max(x1 - x0, 1), max(y1 - y0, 1))


def _cut(rgb: Rgb, at: Rect) -> Rgb:
    return rgb[at.y : at.bottom, at.x : at.right]


def _standing_out(rgb: Rgb) -> NDArray[np.uint8] | None:
    """What differs from a plain light ground; None where the border is not one."""
    small = cv2.resize(rgb, (160, 160), interpolation=cv2.INTER_AREA)
    border = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]]).astype(np.int16)
    light = border[border.min(axis=1) >= 200]
    # A product may touch two sides of its picture, so not all of the border need be ground.
    if len(light) < 0.4 * len(border):
        return None
    ground = np.median(light, axis=0)
    if float(np.mean(np.abs(light - ground).max(axis=1) > 14)) > 0.15:
        return None
    away = (np.abs(small.astype(np.int16) - ground).max(axis=2) > 22).astype(np.uint8) * 255
    away = cv2.morphologyEx(away, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.resize(away, rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _header(page: Page, given: EvidenceInput) -> None:
    fill, word, _ = _colours(given)
    word = say(given.language, word)
    right = _WIDTH - _MARGIN
    score = "–" if given.score is None or not math.isfinite(given.score) else score_text(given.score)
    wide = page.text(right, 88, score, 62, fill, "bold", align="right")
    chip = int(width(word, 21, "bold")) + 60
    at = Rect(int(right - wide - 28 - chip), 46, chip, 44)
    page.box(at, fill, 22)
    _mark(page, given.shown_status, at.x + 26, at.y + 22)
    page.text(at.x + 44, at.y + 30, word, 21, CARD, "bold")
    room = at.x - _MARGIN - 40
    title = given.product_title or given.product_ref or say(given.language, "Product")
    page.text(_MARGIN, 68, title, 32, INK, "bold", room=room)
    x = _MARGIN + page.text(_MARGIN, 104, given.product_ref, 20, MUTED, room=room * 0.35)
    word_in, word_at = say(given.language, "in"), say(given.language, "at")
    x += page.text(x, 104, f"   {word_in}   " if given.product_ref else f"{word_in}   ", 20, MUTED)
    x += page.text(x, 104, given.video_name or say(given.language, "video"), 20, INK, room=room * 0.4)
    x += page.text(x, 104, f"   {word_at}   ", 20, MUTED)
    page.text(x, 104, timestamp(given.ts), 20, INK, "bold")


def _colours(given: EvidenceInput) -> tuple[Colour, str, Colour]:
    return _STATUS.get(given.shown_status, _STATUS["review"])


def _mark(page: Page, status: str, x: int, y: int) -> None:
    shapes = {"accepted": [(-8, 0), (-2, 6), (9, -7)], "rejected": [(-6, -6), (6, 6)]}
    if status in shapes:
        _polyline(page.rgb, np.array(shapes[status]) + np.array([x, y]), CARD, 3, closed=False)
    if status == "rejected":
        _polyline(page.rgb, np.array([(-6, 6), (6, -6)]) + np.array([x, y]), CARD, 3, closed=False)
    if status == "review":
        cv2.circle(page.rgb, (x, y), 7, CARD, 2, cv2.LINE_AA)
        cv2.circle(page.rgb, (x, y), 2, CARD, -1, cv2.LINE_AA)


def _polyline(rgb: Rgb, points: NDArray[Any], colour: Colour, thick: int, *, closed: bool) -> None:
    fixed = np.round(np.clip(points, -3e4, 3e4) * 16).astype(np.int32)
    cv2.polylines(rgb, [fixed], closed, colour, thick, cv2.LINE_AA, 4)


def _stage(page: Page, given: EvidenceInput, geometry: _Geometry, stage: Rect) -> None:
    aligned = geometry.transform is not None
    inner = Rect(stage.x + _PAD, stage.y + _PAD, stage.w - 2 * _PAD, _STAGE_HEIGHT)
    product = _cut(given.product_rgb, geometry.crop)
    # Tall pictures leave room beside them: the comparison takes it.
    spare = inner.w - 128 - sum(fit(p.shape, inner).w for p in (product, given.frame_rgb))
    side = min(max(spare, _SIDE_WIDTH), _SIDE_WIDEST)
    room = inner.w - (side + 56 if aligned else 0)
    left, right = _two_places(product.shape, given.frame_rgb.shape, Rect(inner.x, inner.y, room, inner.h))
    page.box(Rect(left.x - 1, left.y - 1, left.w + 2, left.h + 2), HAIRLINE, 7)
    page.picture(product, left)
    page.picture(_outlined(given.frame_rgb, geometry, right, _colours(given)[2]), right)
    _lines(page, given, geometry, left, right)
    _difference(page, given, geometry, left, right)
    caption = inner.bottom + 28
    name = say(given.language, "Catalogue picture")
    page.text(left.x + left.w / 2, caption, name, 17, MUTED, align="centre")
    name = say(given.language, "Video frame at {at}", at=timestamp(given.ts))
    page.text(right.x + right.w / 2, caption, name, 17, MUTED, align="centre")
    if aligned:
        _comparison(page, given, geometry, Rect(inner.right - side, inner.y, side, inner.h), caption)


def _two_places(first: tuple[int, ...], second: tuple[int, ...], room: Rect) -> tuple[Rect, Rect]:
    """Places of the two pictures side by side: as high as the room, less where they would not fit across."""
    gap = 72
    across = room.w - gap
    wants = [min(room.h / s[0] * s[1], room.h * 1.6) for s in (first, second)]
    if sum(wants) > across:
        # The frame is the proof, so the catalogue picture yields first.
        wants[0] = max(min(wants[0], across - wants[1]), min(wants[0], across * 0.36))
        wants[1] = across - wants[0]
    left = fit(first, Rect(room.x, room.y, max(int(wants[0]), 1), room.h))
    right = fit(second, Rect(room.x, room.y, max(int(wants[1]), 1), room.h))
    spare = max((room.w - left.w - right.w - gap) // 3, 0)
    left = Rect(room.x + spare, left.y, left.w, left.h)
    return left, Rect(left.right + gap + spare, right.y, right.w, right.h)


def _outlined(frame: Rgb, geometry: _Geometry, at: Rect, colour: Colour) -> Rgb:
    shown = resized(frame, at.w, at.h)
    if geometry.outline_in_frame is not None:
        points = geometry.outline_in_frame * (at.w / frame.shape[1], at.h / frame.shape[0])
        soft = shown.copy()
        _polyline(soft, points, _HALO, 9, closed=True)
        shown = np.asarray(cv2.addWeighted(shown, 0.45, soft, 0.55, 0), np.uint8)
        _polyline(shown, points, colour, 3, closed=True)
    return np.asarray(shown, np.uint8)


def _lines(page: Page, given: EvidenceInput, geometry: _Geometry, left: Rect, right: Rect) -> None:
    if len(geometry.product) == 0:
        return
    starts = _placed(geometry.product, geometry.crop, left)
    ends = _placed(geometry.frame, Rect(0, 0, given.frame_rgb.shape[1], given.frame_rgb.shape[0]), right)
    inside = _within(starts, left) & _within(ends, right)
    starts, ends, loose = starts[inside], ends[inside], _looseness(geometry)[inside]
    kept = _spread(starts, _MAX_LINES)
    x, top = min(left.x, right.x), min(left.y, right.y)
    band = page.rgb[top : max(left.bottom, right.bottom), x : max(left.right, right.right)]
    origin = np.array([x, top])
    soft = band.copy()
    for number in kept:
        _polyline(soft, np.array([starts[number], ends[number]]) - origin, _HALO, 3, closed=False)
    cv2.addWeighted(band, 0.72, soft, 0.28, 0, dst=soft)
    for number in kept:
        colour = _blend(_EXACT, _LOOSE, loose[number])
        _polyline(soft, np.array([starts[number], ends[number]]) - origin, colour, 1, closed=False)
    band[:] = soft
    for places in (starts, ends):
        for number in _spread(starts, _MAX_DOTS):
            centre = (round(float(places[number, 0]) * 16), round(float(places[number, 1]) * 16))
            cv2.circle(page.rgb, centre, 58, _HALO, -1, cv2.LINE_AA, 4)
            cv2.circle(page.rgb, centre, 40, _blend(_EXACT, _LOOSE, loose[number]), -1, cv2.LINE_AA, 4)


def _difference(page: Page, given: EvidenceInput, geometry: _Geometry, left: Rect, right: Rect) -> None:
    """A frame around the region of another colour, in both pictures."""
    if given.differs is None or geometry.transform is None:
        return
    corners = np.reshape(np.asarray(given.differs, np.float64), (-1, 2))
    shown = _project(geometry.transform, corners)
    whole = Rect(0, 0, given.frame_rgb.shape[1], given.frame_rgb.shape[0])
    places = [_placed(corners, geometry.crop, left)]
    places += [] if shown is None else [_placed(shown, whole, right)]
    for points, at in zip(places, (left, right), strict=False):
        points = np.clip(points, (at.x, at.y), (at.right, at.bottom))
        for colour, thick in ((_HALO, 8), (_DIFFERENT, 4)):
            _polyline(page.rgb, points, colour, thick, closed=True)


def _placed(points: NDArray[np.float64], shown: Rect, at: Rect) -> NDArray[np.float64]:
    return (points - (shown.x, shown.y)) * (at.w / shown.w, at.h / shown.h) + (at.x, at.y)


def _within(points: NDArray[np.float64], at: Rect) -> NDArray[np.bool_]:
    x, y = points[:, 0], points[:, 1]
    return np.asarray((x >= at.x) & (x <= at.right) & (y >= at.y) & (y <= at.bottom))


def _looseness(geometry: _Geometry) -> NDArray[np.float64]:
    """Residual of each inlier as a share of `_LOOSE_PX`, [0, 1]; 0 without a transform."""
    if geometry.transform is None:
        return np.zeros(len(geometry.product))
    full = np.column_stack([geometry.product, np.ones(len(geometry.product))]) @ geometry.transform.T
    w = np.where(np.abs(full[:, 2:]) < 1e-9, 1e-9, full[:, 2:])
    return np.asarray(np.clip(np.linalg.norm(full[:, :2] / w - geometry.frame, axis=1) / _LOOSE_PX, 0, 1))


def _blend(first: Colour, last: Colour, share: float) -> Colour:
    r, g, b = (round(a + (z - a) * float(share)) for a, z in zip(first, last, strict=True))
    return r, g, b


def _spread(points: NDArray[np.float64], count: int) -> list[int]:
    """Indices of at most `count` points far from each other (farthest point sampling)."""
    if len(points) <= count:
        return list(range(len(points)))
    chosen = [int(np.argmin(points.sum(axis=1)))]
    nearest = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return chosen


def _comparison(page: Page, given: EvidenceInput, geometry: _Geometry, at: Rect, caption: int) -> None:
    """The same region twice: as the catalogue shows it, and the frame turned to lie on it."""
    crop = _around(geometry.outline, given.product_rgb.shape, 0.0)
    first, second, second_label = _twin_places((crop.h, crop.w), at)
    page.box(Rect(at.x - 28, at.y, 1, at.h), HAIRLINE)
    _twins(page, given, geometry, first, second)
    name = say(given.language, "Catalogue")
    page.text(first.x + first.w / 2, second_label or caption, name, 17, MUTED, align="centre")
    words = "Video, turned to match" if second_label or second.w > 180 else "Video, turned"
    page.text(second.x + second.w / 2, caption, say(given.language, words), 17, MUTED, align="centre")


def _twins(page: Page, given: EvidenceInput, geometry: _Geometry, first: Rect, second: Rect) -> None:
    """The product's region of the catalogue picture, and the frame turned to lie on it."""
    crop = _around(geometry.outline, given.product_rgb.shape, 0.0)
    assert geometry.transform is not None
    zoom = np.diag([first.w / crop.w, first.h / crop.h, 1.0])
    zoom = zoom @ np.array([[1, 0, -crop.x], [0, 1, -crop.y], [0, 0, 1.0]])
    aligned = cv2.warpPerspective(
        given.frame_rgb,
        zoom @ np.linalg.inv(geometry.transform),
        (first.w, first.h),
        flags=cv2.INTER_AREA,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=TRACK,
    )
    page.picture(_cut(given.product_rgb, crop), first, 4)
    page.picture(np.asarray(aligned, np.uint8), second, 4)


def _twin_places(shape: tuple[int, int], at: Rect) -> tuple[Rect, Rect, int | None]:
    """Two equal places, side by side or stacked, whichever shows more; the upper label's row if stacked."""
    half_w, half_h = (at.w - 16) // 2, (at.h - 46) // 2
    beside = fit(shape, Rect(at.x, at.y, half_w, at.h))
    above = fit(shape, Rect(at.x, at.y, at.w, half_h))
    if beside.w > above.w:
        return beside, Rect(beside.x + half_w + 16, beside.y, beside.w, beside.h), None
    return above, Rect(above.x, above.y + at.h - half_h, above.w, above.h), at.y + half_h + 28


def _scores(page: Page, given: EvidenceInput, at: Rect) -> None:
    fill, _, _ = _colours(given)
    left, long = at.x + 272, at.w - 272 - 110
    y = at.y + 6
    for key, words, name in _TERMS:
        value = given.terms.get(key)
        page.text(at.x, y + 14, say(given.language, words), 19, INK)
        weight = given.weights.get(key)
        page.text(
            left - 16, y + 14, name if weight is None else f"{name} × {weight:g}", 14, MUTED, align="right"
        )
        _bar(page, Rect(left, y + 2, long, 12), value, (88, 98, 112), given.language)
        y += 36
    page.text(at.x, y + 20, say(given.language, "Score"), 21, INK, "bold")
    score = Rect(left, y + 6, long, 16)
    _bar(page, score, given.score, fill, given.language, bold=True)
    mark = left + round(long * min(max(given.accept, 0), 1))
    page.box(Rect(mark - 1, score.y - 7, 3, 30), INK)
    text = say(given.language, "accepted from {accept}", accept=score_text(given.accept))
    page.text(mark, score.bottom + 26, text, 15, MUTED, align="centre")


def _bar(
    page: Page, at: Rect, value: float | None, colour: Colour, language: Language, *, bold: bool = False
) -> None:
    page.box(at, TRACK, at.h // 2)
    known = value is not None and bool(np.isfinite(value))
    if value is not None and known:
        page.box(Rect(at.x, at.y, max(round(at.w * min(max(value, 0), 1)), at.h), at.h), colour, at.h // 2)
    page.text(
        at.right + 14,
        at.y + at.h / 2 + (8 if bold else 7),
        say(language, "not measured") if value is None or not known else score_text(value),
        21 if bold else 19 if known else 16,
        INK if known else MUTED,
        "bold" if bold else "regular",
    )


def _words(page: Page, given: EvidenceInput, geometry: _Geometry, at: Rect) -> None:
    y, room = at.y + 20, at.w - (_rival(page, given, at) if given.rival is not None else 0)
    for text, colour in _sentences(given, geometry):
        for line in wrap(text, 19, room, 2):
            page.text(at.x, y, line, 19, colour)
            y += 25
    if given.rival is not None:
        name = say(given.language, "Rival: {product}", product=given.rival.title)
        page.text(at.x, y + 1, name, 16, INK, room=room)
        y += 22
    for line in wrap("  ·  ".join(_figures(given, geometry)), 16, room, 2):
        if y + 3 < at.bottom - 42:
            page.text(at.x, y + 3, line, 16, MUTED)
            y += 22
    if len(geometry.product):
        _legend(page, given, geometry, Rect(at.x, at.bottom - 36, at.w, 20))
    page.text(at.x, at.bottom + 2, "  ·  ".join(given.small_print), 15, MUTED, room=at.w)


def _sentences(given: EvidenceInput, geometry: _Geometry) -> list[tuple[str, Colour]]:
    """What is said in full: what people decided, that nothing was aligned, the reason."""
    said: list[tuple[str, Colour]] = []
    if given.verdict is not None and given.verdict in _JUDGED:
        scored = say(given.language, _STATUS.get(given.status, _STATUS["review"])[1])
        judged = say(given.language, _JUDGED[given.verdict])
        by_score = say(given.language, "by score: {status}", status=scored)
        said.append((f"{judged} ({by_score})", _colours(given)[0]))
    if geometry.transform is None:
        alone = "No alignment between the pictures was found; this rests on the overall look alone."
        said.append((say(given.language, alone), _STATUS["review"][0]))
    return [*said, (given.reason, INK)]


def _figures(given: EvidenceInput, geometry: _Geometry) -> list[str]:
    """How the score comes about, how many points agree, and what else is known."""
    found: list[str] = []
    parts = None if given.score is None else composition(given.score, given.best)
    if parts is not None and parts.kind == "raised":
        text = "best pair {best} + {bonus} for further shots and pictures that agree"
        found.append(say(given.language, text, best=parts.best, bonus=parts.change))
    elif parts is not None and parts.kind == "held":
        text = "best pair {best}, held down to {score}: it cannot be accepted by itself"
        found.append(say(given.language, text, best=parts.best, score=parts.score))
    matched = len(geometry.product) if given.inliers is None else given.inliers
    if matched:
        found.append(say(given.language, "matched points: {count}", count=matched))
    return [*found, *given.facts]


def _rival(page: Page, given: EvidenceInput, at: Rect) -> int:
    """The rival's picture with its score, at the right; the width it takes."""
    rival, side = given.rival, _RIVAL_SIDE
    assert rival is not None
    place = Rect(at.right - side, at.y, side, side)
    page.box(Rect(place.x - 1, place.y - 1, side + 2, side + 2), CARD, 6, HAIRLINE)
    if rival.rgb is not None:
        page.picture(rival.rgb, fit(rival.rgb.shape, place), 5)
    score = say(given.language, "Rival {score}", score=score_text(rival.score))
    page.text(place.right, place.bottom + 18, score, 15, INK, "bold", align="right")
    return side + 24


def _legend(page: Page, given: EvidenceInput, geometry: _Geometry, at: Rect) -> None:
    """What the colours of lines and outline mean, each beside a sample."""
    y = at.y + 14
    x = at.x + page.text(at.x, y, say(given.language, "Lines join points that agree:"), 14, MUTED) + 10
    loose = say(given.language, "{pixels} px off", pixels=_LOOSE_PX)
    for colour, text in ((_EXACT, say(given.language, "exactly")), (_LOOSE, loose)):
        page.box(Rect(round(x), y - 7, 26, 4), colour, 2)
        x += 32 + page.text(x + 32, y, text, 14, MUTED) + 16
    if geometry.outline_in_frame is not None:
        sample = np.array([(0, 0), (18, 0), (18, 12), (0, 12)]) + np.array([x, y - 11])
        for colour, thick in ((_HALO, 4), (_colours(given)[2], 2)):
            _polyline(page.rgb, sample, colour, thick, closed=True)
        page.text(x + 26, y, say(given.language, "outline of the product"), 14, MUTED, room=at.right - x - 26)
