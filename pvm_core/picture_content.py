"""What a product picture is: a view of the product, a chart or a placeholder; and the bands laid over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, cast

import numpy as np

from pvm_core.arrays import F32, U8, Bools

Role = Literal["view", "chart", "placeholder", "shared"]

#: Roles of pictures that frames are not compared with.
NOT_MATCHED: Final[tuple[Role, ...]] = ("chart", "placeholder", "shared")
#: Raise where `read_content` answers otherwise for the same picture.
VERSION: Final = "1"
#: Cells a side of the grid on which material that is not the product is marked.
GRID: Final = 32
#: The picture is read at this many pixels: as many as a square of 256.
_PIXELS: Final = 65_536
#: Levels within which a pixel still is the paper, and the paper's least share. Measured on 7 charts and
#: placeholders (0.77 to 0.92) and 152 reference pictures of cartons, covers and objects (0.84 at most).
_PAPER_TOLERANCE: Final = 14
_PAPER_SHARE: Final = 0.6
#: Grey levels of a 3 x 3 neighbourhood: up to the first it is flat, from the second on it is an outline.
_FLAT: Final = 6
_OUTLINE: Final = 40
#: Pixels around an outline that JPEG's ringing and antialiasing blur.
_RINGING: Final = 7
#: Side of the blocks searched for shading, and the share of shaded pixels that only a photo has: at most 0.02
#: in charts and placeholders, at least 0.27 in the block that shows most of a product.
_BLOCK: Final = 24
_SHADED: Final = 0.12
#: Chroma (Lab units) of a grey, and the share of a line drawing that is grey.
_GREY_CHROMA: Final = 10.0
_GREY_SHARE: Final = 0.97
#: Marks (letters, lines) from which a line drawing is a text, not a sign with a word under it.
_MARKS: Final = 40
#: A band over a picture: its least and greatest share of the height, how flat its colour is at both ends of
#: each row and how much of a row it covers at least.
_BAND_HEIGHT: Final = (0.04, 0.40)
_BAND_TOLERANCE: Final = 16
_BAND_ROW: Final = 0.20
#: Share of the picture's width looked at to see whether a row's colour reaches both edges.
_MARGIN: Final = 0.02
#: Chroma from which, or lightness (0 to 255) up to which, a band is one and not white margin.
_BAND_CHROMA: Final = 20.0
_BAND_DARK: Final = 90.0


@dataclass(frozen=True, eq=False)
class PictureContent:
    """What one picture holds, by its pixels alone.

    Attributes:
        role: `view`, `chart` (text and lines) or `placeholder` (a sign that there is no picture).
        bands: (GRID, GRID) bool, cells under a band of one colour that reaches from edge to edge.
        thumbnail: (GRID, GRID, 3) float32 Lab, for comparing pictures in place.
    """

    role: Role
    bands: Bools
    thumbnail: F32


def read_content(rgb: U8) -> PictureContent:
    """What a picture (uint8 RGB) holds."""
    import cv2

    height, width = rgb.shape[:2]
    factor = min(1.0, float(np.sqrt(_PIXELS / (height * width))))
    size = (max(16, round(width * factor)), max(16, round(height * factor)))
    small = cast(U8, cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
    lab = cast(F32, cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32))
    thumbnail = cast(F32, cv2.resize(lab, (GRID, GRID), interpolation=cv2.INTER_AREA))
    return PictureContent(_role(small, lab), _bands(small, lab), thumbnail)


def _role(rgb: U8, lab: F32) -> Role:
    """A drawing has flat paper and ink and nothing in between; what is photographed or painted is shaded."""
    import cv2

    ink = ~_paper(rgb)
    if ink.mean() > 1 - _PAPER_SHARE or _is_shaded(rgb, ink):
        return "view"
    if (np.hypot(lab[..., 1] - 128, lab[..., 2] - 128) < _GREY_CHROMA).mean() < _GREY_SHARE:
        return "view"
    marks = cv2.connectedComponents(ink.astype(np.uint8))[0] - 1
    return "chart" if marks >= _MARKS else "placeholder"


def _paper(rgb: U8) -> Bools:
    """(h, w) bool: pixels of the commonest colour."""
    code = (rgb // 16).astype(np.int32) @ np.array([256, 16, 1])
    commonest = np.bincount(code.ravel()).argmax()
    colour = np.median(rgb[code == commonest], axis=0)
    return cast(Bools, np.abs(rgb.astype(np.float32) - colour).max(axis=-1) < _PAPER_TOLERANCE)


def _is_shaded(rgb: U8, ink: Bools) -> bool:
    import cv2

    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    window = np.ones((3, 3), np.uint8)
    extent = cv2.subtract(cv2.dilate(grey, window), cv2.erode(grey, window))
    around = cv2.dilate((extent >= _OUTLINE).astype(np.uint8), np.ones((_RINGING, _RINGING), np.uint8)) > 0
    shaded = ink & (extent > _FLAT) & ~around
    most = cv2.boxFilter(shaded.astype(np.float32), -1, (_BLOCK, _BLOCK)).max()
    return bool(most > _SHADED)


def _bands(rgb: U8, lab: F32) -> Bools:
    found = np.zeros((GRID, GRID), bool)
    for turned in (False, True):
        rows = _band_rows(rgb[::-1] if turned else rgb, lab[::-1] if turned else lab)
        cells = int(np.ceil(rows / rgb.shape[0] * GRID))
        if cells:
            found[GRID - cells :] |= turned
            found[:cells] |= not turned
    return found


def _band_rows(rgb: U8, lab: F32) -> int:
    """Rows of the band at the top of a picture; 0 where there is none."""
    height, width = rgb.shape[:2]
    least, most = (round(share * height) for share in _BAND_HEIGHT)
    edge = max(1, round(_MARGIN * width))
    ends = np.concatenate([rgb[:, :edge], rgb[:, -edge:]], axis=1)
    colour = np.median(ends[1 : least + 1].reshape(-1, 3), axis=0)
    same = np.abs(rgb.astype(np.float32) - colour).max(axis=-1) < _BAND_TOLERANCE
    # What is written on a band may run into one of its ends.
    like = (same[:, :edge].all(axis=1) | same[:, -edge:].all(axis=1)) & (same.mean(axis=1) > _BAND_ROW)
    rows = int(np.argmin(like[1:])) + 1 if not like[1:].all() else height
    lightness, a, b = lab[1 : least + 1, :edge].reshape(-1, 3).mean(axis=0)
    coloured = np.hypot(a - 128, b - 128) > _BAND_CHROMA or lightness < _BAND_DARK
    return rows if coloured and least <= rows <= most and not _is_plain(rgb[:rows], colour) else 0


def _is_plain(rgb: U8, colour: F32) -> bool:
    """Nothing is written there: the ground of a picture, and no keypoint to discount."""
    far = np.abs(rgb.astype(np.float32) - colour).max(axis=-1) > 3 * _BAND_TOLERANCE
    return bool(far.mean() < 0.01)
