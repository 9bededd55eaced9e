"""How far eyes are open: the eye aspect ratio."""

from __future__ import annotations

import numpy as np

from pvm_core.arrays import F32
from pvm_core.faces.landmarks import LEFT_CONTOUR, RIGHT_CONTOUR


def eye_openness(points: F32) -> float:
    """The mean eye aspect ratio of both eyes, >= 0: about 0.3 for open eyes, under 0.12 for closed ones.

    (|p2 - p6| + |p3 - p5|) / (2 |p1 - p4|), Soukupova and Cech, Real-Time Eye Blink Detection using Facial
    Landmarks, CVWW 2016; the two pairs of lid points stand over a third of the eye each.

    Args:
        points: landmarks (478, 2 or 3), pixels.
    """
    return (_aspect_ratio(points, LEFT_CONTOUR) + _aspect_ratio(points, RIGHT_CONTOUR)) / 2


def _aspect_ratio(points: F32, contour: tuple[int, ...]) -> float:
    eye = points[list(contour), :2]
    heights = float(np.linalg.norm(eye[11] - eye[3]) + np.linalg.norm(eye[13] - eye[5]))
    return heights / max(2 * float(np.linalg.norm(eye[0] - eye[8])), 1e-6)
