"""The canonical face that poses are solved against: points far from the eyes and the mouth.

Coordinates are facts read from `face_model_with_iris.obj` of MediaPipe (Apache-2.0, see NOTICE), whose 468
points are those of `canonical_face_model.obj`. Unit: centimetres; x to the left of the person (right in a
picture of a face that looks into the camera), y up, z out of the face.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from pvm_core.arrays import F64, Ints

#: Number of a landmark, its mirror image's (itself on the middle line), and the first one's place. Left out
#: is what moves while the head stands still: eyes and lids (the iris network moves the landmarks near
#: them), mouth, chin and jaw.
_POINTS: Final = (
    (1, 1, 0.0, -1.126865, 7.475604),
    (4, 4, 0.0, -0.463170, 7.586580),
    (5, 5, 0.0, 0.365669, 7.242870),
    (195, 195, 0.0, 1.059413, 6.774605),
    (2, 2, 0.0, -2.089024, 6.058267),
    (8, 8, 0.0, 4.019042, 5.284764),
    (9, 9, 0.0, 4.885979, 5.385258),
    (151, 151, 0.0, 6.545390, 5.027311),
    (10, 10, 0.0, 8.261778, 4.481535),
    (109, 338, -1.891399, 8.236377, 4.274997),
    (67, 297, -3.523964, 8.005976, 3.729163),
    (103, 332, -5.133204, 7.485602, 2.660442),
    (54, 284, -6.279331, 6.615427, 1.425850),
    (21, 251, -7.087960, 5.434801, 0.099620),
    (162, 389, -7.555811, 4.106811, -0.991917),
    (127, 356, -7.743095, 2.364999, -2.005167),
    (234, 454, -7.664182, 0.673132, -2.435867),
    (93, 323, -7.542244, -1.049282, -2.431321),
    (108, 337, -1.619500, 6.599217, 4.921106),
    (69, 299, -3.063932, 6.566144, 4.529981),
    (104, 333, -4.538641, 6.319907, 3.683424),
    (198, 420, -1.246815, 0.230297, 5.681036),
    (129, 358, -1.785794, -0.978284, 4.850470),
    (98, 327, -1.405627, -1.714196, 5.241087),
    (50, 280, -4.765501, -0.701554, 3.534632),
    (205, 425, -3.832928, -1.537326, 4.137731),
    (116, 345, -6.465170, 0.937119, 1.689873),
    (117, 346, -5.258659, 0.945811, 2.974312),
    (123, 352, -6.338145, -0.529279, 1.881175),
    (147, 376, -6.234883, -1.944430, 1.663542),
)


def _both_sides() -> tuple[Ints, F64]:
    numbers, places = [], []
    for left, right, x, y, z in _POINTS:
        numbers.append(left)
        places.append((x, y, z))
        if right != left:
            numbers.append(right)
            places.append((-x, y, z))
    return np.array(numbers, np.intp), np.array(places, np.float64)


#: Numbers of the landmarks, (N,), and their places on the face, (N, 3).
POSE_LANDMARKS, POSE_POINTS = _both_sides()
