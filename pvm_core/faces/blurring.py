"""Pictures in which no face can be recognised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pvm_core.errors import ModelError
from pvm_core.faces.finding import NETWORKS, Box, FaceFinder
from pvm_core.images import Rgb
from pvm_core.weights import is_present

#: Cells a side that are left of a face: it cannot be drawn back from 36 mean colours.
_CELLS: Final = 6
#: Share of a box added on each side. An ellipse around a box is sqrt(2) as wide: with 0.25 the whole box and
#: some hair, ears and chin lie within.
_MARGIN: Final = 0.25


class FaceBlur:
    """Blurs every face that `FaceFinder` finds.

    Args:
        models_dir: the model store.

    Raises:
        ModelError: ``evidence.faces`` where the networks are not there; ``model.hash``.
    """

    def __init__(self, models_dir: Path) -> None:
        require_networks(models_dir)
        self._find = FaceFinder(models_dir)

    def __call__(self, rgb: Rgb) -> Rgb:
        """The RGB picture with its faces blurred: the same array where it has none, else another."""
        boxes = self._find(rgb)
        return without_faces(rgb, boxes) if boxes else rgb


def require_networks(models_dir: Path) -> None:
    """Refuses where faces cannot be found on this machine.

    Raises:
        ModelError: ``evidence.faces``.
    """
    missing = [name for name in NETWORKS if not is_present(models_dir, name)]
    if missing:
        pulls = " and ".join(f"`pvm models pull {name}`" for name in missing)
        raise ModelError(
            "evidence.faces",
            "blur_faces",
            f"faces cannot be blurred without {' and '.join(missing)}, and no picture is shown with them",
            f"Run `make attention`, or {pulls}; then run the job again",
        )


def without_faces(rgb: Rgb, boxes: Sequence[Box]) -> Rgb:
    """A copy of an RGB picture in which an ellipse around each box holds no more than 6 x 6 mean colours.

    Boxes that touch are blurred as one, so that no two grids of means can be compared.
    """
    out = rgb.copy()
    for left, top, width, height in _joined([_grown(box) for box in boxes]):
        low_x, low_y = max(int(left), 0), max(int(top), 0)
        high_x = min(int(np.ceil(left + width)), rgb.shape[1])
        high_y = min(int(np.ceil(top + height)), rgb.shape[0])
        if high_x <= low_x or high_y <= low_y:
            continue
        part = out[low_y:high_y, low_x:high_x]
        cells = cv2.resize(part, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
        flat = cv2.resize(cells, (part.shape[1], part.shape[0]), interpolation=cv2.INTER_LINEAR)
        y, x = np.mgrid[low_y:high_y, low_x:high_x]
        inside = ((x + 0.5 - left - width / 2) / (width / 2)) ** 2
        inside = inside + ((y + 0.5 - top - height / 2) / (height / 2)) ** 2
        part[inside <= 1] = flat[inside <= 1]
    return out


def _grown(box: Box) -> Box:
    left, top, width, height = box
    return (
        left - _MARGIN * width,
        top - _MARGIN * height,
        width * (1 + 2 * _MARGIN),
        height * (1 + 2 * _MARGIN),
    )


def _joined(boxes: Sequence[Box]) -> list[Box]:
    """Boxes of which no two touch: those that do are replaced by the box around both."""
    left = list(boxes)
    done: list[Box] = []
    while left:
        one = left.pop()
        near = [other for other in (*left, *done) if _touch(one, other)]
        if not near:
            done.append(one)
            continue
        left = [other for other in left if other not in near]
        done = [other for other in done if other not in near]
        left.append(_around((one, *near)))
    return done


def _touch(one: Box, other: Box) -> bool:
    return all(
        one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2]
        for axis in (0, 1)
    )


def _around(boxes: Sequence[Box]) -> Box:
    left, top = min(b[0] for b in boxes), min(b[1] for b in boxes)
    right, bottom = max(b[0] + b[2] for b in boxes), max(b[1] + b[3] for b in boxes)
    return left, top, right - left, bottom - top
