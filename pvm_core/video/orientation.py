"""How a decoded picture is made upright: the display matrix of a file."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np

from pvm_core.images import Rgb

_TURNS: Final = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
#: A display matrix: 3 x 3 numbers of 32 bits, 16.16 in the first two columns (ISO/IEC 14496-12, 8.3.2).
_MATRIX: Final = struct.Struct("<9i")


@dataclass(frozen=True)
class Orientation:
    """What makes a picture upright.

    Attributes:
        rotation: degrees counter-clockwise, 0, 90, 180 or 270, by which it is turned.
        mirrored: it is mirrored left to right before that: front cameras, EXIF orientations 2, 4, 5 and 7.
    """

    rotation: int = 0
    mirrored: bool = False

    def upright(self, rgb: Rgb) -> Rgb:
        """The picture, uint8 (H, W, 3), mirrored and turned; C-contiguous."""
        if self.mirrored:
            rgb = np.asarray(cv2.flip(rgb, 1), dtype=np.uint8)
        if self.rotation in _TURNS:
            rgb = np.asarray(cv2.rotate(rgb, _TURNS[self.rotation]), dtype=np.uint8)
        return np.ascontiguousarray(rgb)


def orientation_of(frame: Any) -> Orientation:
    """The orientation of a decoded frame (`av.VideoFrame`); any angle is taken to the nearest right one.

    A matrix that flattens the picture, or is not one, says nothing.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Orientation()
    matrix = bytes(data)
    if len(matrix) < _MATRIX.size:
        return Orientation()
    # A point (x, y) of the picture is shown at (a x + c y, b x + d y); y points down.
    a, b, _, c, d, *_ = _MATRIX.unpack_from(matrix)
    area = a * d - b * c
    if area == 0:
        return Orientation()
    mirrored = area < 0
    if mirrored:
        a, b = -a, -b
    return Orientation(round(math.degrees(math.atan2(-b, a)) / 90) % 4 * 90, mirrored)
