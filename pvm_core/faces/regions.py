"""Square regions of a picture, turned, and the way between their pixels and the picture's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from pvm_core.arrays import F32, F64
from pvm_core.images import Rgb


@dataclass(frozen=True)
class Region:
    """A square of a picture.

    Attributes:
        x, y: its centre, pixels.
        side: pixels.
        angle: radians, clockwise as seen, by which it is turned.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    def crop(self, rgb: Rgb, size: int) -> Rgb:
        """Its content scaled to `size` x `size`, uint8; edge pixels are repeated beyond the picture."""
        matrix = self._matrix(size)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        found = cv2.warpAffine(rgb, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found, dtype=np.uint8)

    def to_picture(self, points: F32, size: int) -> F32:
        """Points of the crop (N, 2 or 3), pixels of a crop of `size`, as pixels of the picture; a third
        coordinate is scaled alone."""
        matrix = self._matrix(size)
        flat = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        depth = points[:, 2:] * (self.side / size)
        return np.hstack([flat, depth]).astype(np.float32)

    def _matrix(self, size: int) -> F64:
        """Crop pixels to picture pixels, (2, 3)."""
        scale = self.side / size
        cos, sin = math.cos(self.angle) * scale, math.sin(self.angle) * scale
        half = size / 2
        return np.array(
            [
                [cos, -sin, self.x - cos * half + sin * half],
                [sin, cos, self.y - sin * half - cos * half],
            ]
        )


def region_around(points: F32, start: F32, end: F32, scale: float) -> Region:
    """The square around points (N, 2), pixels, turned so that the line from `start` to `end` lies level.

    Args:
        scale: side over the longer side of the points' box in the turned axes.
    """
    angle = math.atan2(float(end[1] - start[1]), float(end[0] - start[0]))
    cos, sin = math.cos(angle), math.sin(angle)
    turned = points @ np.array([[cos, -sin], [sin, cos]], dtype=np.float32)
    low, high = turned.min(axis=0), turned.max(axis=0)
    middle = (low + high) / 2
    x, y = float(cos * middle[0] - sin * middle[1]), float(sin * middle[0] + cos * middle[1])
    return Region(x, y, scale * float((high - low).max()), angle)
