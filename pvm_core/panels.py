"""Views of one product inside one picture: a shop's collage or long strip, cut where paper runs from edge to
edge.

Recursive X-Y cut (Nagy and Seth, "Hierarchical representation of optically scanned documents", ICPR 1984): a
picture is cut at its widest gutter, the pieces again, until none is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np

from pvm_core.arrays import U8, Bools
from pvm_core.keypoints import KeypointParams, detect
from pvm_core.picture_content import NOT_MATCHED, read_content
from pvm_core.verification import VerifyParams, View, verify_frame

#: The picture is cut at this width of its shorter side, pixels.
_SHORT_SIDE: Final = 256
#: Grey levels within which a pixel is still the paper. JPEG's ringing around print stays within it.
_TOLERANCE: Final = 14
#: Share of a line that must be paper for the line to lie in a gutter: a speck of JPEG does not close it.
_PAPER: Final = 0.995
#: A gutter's least width, as a share of the shorter side. Print inside one product leaves narrower ones.
_GUTTER: Final = 0.012
#: Least area of a view, as a share of the whole picture's shorter side squared, and least side in pixels as
#: given: below, too little is left of a product to be told.
_AREA: Final = 0.05
_SIDE: Final = 96
#: Longest side over shortest of a view; a line of text is longer.
_ELONGATION: Final = 4.0
#: Longest side over shortest from which a picture is a strip, of which one view is worth having by itself.
_STRIP: Final = 2.5
#: How two views are compared, and the agreeing places from which they show one product. A collage's details
#: agree with its whole in 18 to 100; of the 2,850 pairs of reference pictures of different products 11 do in
#: 15 or more, all siblings of one brand; drawn fields of blobs in 9 by chance.
_LEAST_AGREE: Final = 15
_AGREE: Final = VerifyParams(gate=8, appearance=False)
_POINTS: Final = KeypointParams(max_keypoints=600, max_side=480)
#: Views that one picture gives at most: a strip of more is a catalogue page.
MOST: Final = 12


@dataclass(frozen=True)
class Box:
    """A part of a picture: pixels from `left`, `top`, of `width` and `height`."""

    left: int
    top: int
    width: int
    height: int

    def of(self, rgb: U8) -> U8:
        """That part of uint8 (H, W, 3), contiguous."""
        cut = rgb[self.top : self.top + self.height, self.left : self.left + self.width]
        return np.ascontiguousarray(cut)


def panels(rgb: U8) -> tuple[Box, ...]:
    """The views that a picture (uint8 RGB) is put together from, from top left to bottom right.

    Empty where it is one view. Pieces that show text or a sign are left out. A single piece counts only in a
    strip: elsewhere it is the picture without its margin. Several must show one product: pieces in which no
    other is found again are left out, so that a bundle of two products is not taken for either.
    """
    import cv2

    height, width = rgb.shape[:2]
    scale = min(1.0, _SHORT_SIDE / min(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = cast(U8, cv2.resize(rgb, size, interpolation=cv2.INTER_AREA) if scale < 1 else rgb)
    paper = _paper(small)
    if paper is None:
        return ()
    pieces = [_grown(box, size, (width, height)) for box in _cut(paper, Box(0, 0, *size))]
    large = [box for box in pieces if _large(box, min(width, height))] if len(pieces) > 1 else []
    views = [box for box in large if _is_view(box.of(rgb))] if len(large) <= MOST else []
    if not views:
        return ()
    if len(views) == 1:
        return tuple(views) if max(width, height) >= _STRIP * min(width, height) else ()
    return tuple(_of_one_product(views, rgb))


def _paper(rgb: U8) -> Bools | None:
    """bool (H, W): pixels of the picture's paper, the commonest colour of its outermost lines.

    None where half of them have no colour in common.
    """
    border = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]]).astype(np.int16)
    middle = np.median(border, axis=0)
    if (np.abs(border - middle).max(axis=1) <= _TOLERANCE).mean() < 0.5:
        return None
    import cv2

    return cv2.inRange(rgb, middle - _TOLERANCE, middle + _TOLERANCE) > 0


def _cut(paper: Bools, box: Box) -> Iterator[Box]:
    """The pieces of a box that no gutter divides, without their margins."""
    trimmed = _trimmed(paper, box)
    if trimmed is None:
        return
    inside = paper[trimmed.top : trimmed.top + trimmed.height, trimmed.left : trimmed.left + trimmed.width]
    least = max(2, round(_GUTTER * min(paper.shape)))
    rows, columns = _widest(inside.mean(axis=1) >= _PAPER), _widest(inside.mean(axis=0) >= _PAPER)
    across = rows[1] - rows[0] >= columns[1] - columns[0]
    start, end = rows if across else columns
    if end - start < least:
        yield trimmed
        return
    if across:
        first = Box(trimmed.left, trimmed.top, trimmed.width, start)
        second = Box(trimmed.left, trimmed.top + end, trimmed.width, trimmed.height - end)
    else:
        first = Box(trimmed.left, trimmed.top, start, trimmed.height)
        second = Box(trimmed.left + end, trimmed.top, trimmed.width - end, trimmed.height)
    yield from _cut(paper, first)
    yield from _cut(paper, second)


def _trimmed(paper: Bools, box: Box) -> Box | None:
    """The box without the paper around what is in it; None where there is nothing else."""
    inside = paper[box.top : box.top + box.height, box.left : box.left + box.width]
    rows = np.flatnonzero(inside.mean(axis=1) < _PAPER) if inside.size else np.empty(0)
    columns = np.flatnonzero(inside.mean(axis=0) < _PAPER) if inside.size else np.empty(0)
    if not len(rows) or not len(columns):
        return None
    top, left = int(rows[0]), int(columns[0])
    return Box(box.left + left, box.top + top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1)


def _widest(gutter: Bools) -> tuple[int, int]:
    """Start and end of the longest run; (0, 0) without any."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], gutter.astype(np.int8), [0]])))
    runs = edges.reshape(-1, 2)
    if not len(runs):
        return 0, 0
    start, end = runs[(runs[:, 1] - runs[:, 0]).argmax()]
    return int(start), int(end)


def _grown(box: Box, size: tuple[int, int], given: tuple[int, int]) -> Box:
    """The box in pixels of the picture as given, with one pixel of the small one added around it."""
    fx, fy = given[0] / size[0], given[1] / size[1]
    left, top = max(0, int((box.left - 1) * fx)), max(0, int((box.top - 1) * fy))
    right = min(given[0], int((box.left + box.width + 1) * fx))
    return Box(left, top, right - left, min(given[1], int((box.top + box.height + 1) * fy)) - top)


def _large(box: Box, side: int) -> bool:
    shorter, longer = sorted((box.width, box.height))
    enough = box.width * box.height >= _AREA * side * side
    return shorter >= _SIDE and longer <= _ELONGATION * shorter and enough


def _of_one_product(boxes: Sequence[Box], rgb: U8) -> Iterator[Box]:
    """The views in which another one is found again."""
    views = [View(detect(part, None, _POINTS), part) for part in (box.of(rgb) for box in boxes)]
    again = [verify_frame(view, views, _AGREE) for view in views]
    for n, box in enumerate(boxes):
        others = [m for m in range(len(boxes)) if m != n]
        # Of each pair one direction may fail: a detail is found in the whole, not always the whole in it.
        if any(max(again[n][m].inliers, again[m][n].inliers) >= _LEAST_AGREE for m in others):
            yield box


def _is_view(rgb: U8) -> bool:
    return read_content(rgb).role not in NOT_MATCHED
