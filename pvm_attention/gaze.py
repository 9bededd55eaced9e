"""Where a person looks, as one of six zones: landmarks hold no finer direction (14.7 degrees mean error of a
network made for it on the same landmarks: py-feat's benchmark on Gaze360)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from pvm_attention.eyes import eye_openness
from pvm_attention.head_pose import HeadPose
from pvm_core.arrays import F32
from pvm_core.faces.landmarks import LEFT_CONTOUR, LEFT_IRIS, RIGHT_CONTOUR, RIGHT_IRIS

Zone = Literal["at_camera", "left", "right", "up", "down", "away"]
ZONES: Final[tuple[Zone, ...]] = ("at_camera", "left", "right", "up", "down", "away")

#: Half the width of an eye's opening over the radius of the eyeball: 15 mm over 12 mm (adult means: palpebral
#: fissure 30 mm, axial length 24 mm). The iris centre moves by the radius times the sine of the eye's turn.
_HALF_WIDTH_OVER_RADIUS: Final = 1.25
#: Height of the iris centre over the line of the corners when one looks straight ahead, over the half
#: width; the canonical face has it: irises at y 2.636, corners at 2.45 and 2.42, half width 1.2.
_NEUTRAL_HEIGHT: Final = 0.15
#: Degrees around the camera that count as looking at it: about the mean error of gaze from landmarks.
AT_CAMERA: Final = 15.0
#: Degrees of the head's yaw from which a face looks away whatever the eyes do; they turn about 45 degrees
#: more.
AWAY_YAW: Final = 50.0
_AWAY: Final = 55.0
#: Opening of the eyes (`eyes.eye_openness`) below which the iris is hidden.
_CLOSED: Final = 0.12


@dataclass(frozen=True)
class Gaze:
    """Where one looks.

    Attributes:
        zone: ``left`` and ``right`` as in the picture; ``away``: far from the camera, in no known direction.
        confidence: [0, 1]: how far the eyes agree, how clearly the direction lies inside its zone, and how
            well the pose fits.
    """

    zone: Zone
    confidence: float


def gaze_of(points: F32, pose: HeadPose) -> Gaze | None:
    """The zone; None where the eyes are closed: then nobody knows.

    Args:
        points: landmarks (478, 2 or 3), pixels.
        pose: of the same face.
    """
    if eye_openness(points) < _CLOSED:
        return None
    fit = max(0.0, 1 - pose.error / 0.1)
    if abs(pose.yaw) >= AWAY_YAW:
        return Gaze("away", fit * min(1.0, abs(pose.yaw) / (AWAY_YAW + 10)))
    sides = [_iris_offset(points, *eye) for eye in ((LEFT_CONTOUR, LEFT_IRIS), (RIGHT_CONTOUR, RIGHT_IRIS))]
    # The eye that is turned away from the camera is narrow in the picture: its offset counts less.
    share = 0.5 + 0.5 * math.sin(math.radians(max(-AWAY_YAW, min(AWAY_YAW, pose.yaw))))
    across = (1 - share) * sides[1][0] + share * sides[0][0]
    height = (sides[0][1] + sides[1][1]) / 2
    yaw, pitch = pose.yaw + _degrees(across), pose.pitch + _degrees(height - _NEUTRAL_HEIGHT)
    agreement = max(0.0, 1 - abs(sides[0][0] - sides[1][0]))
    zone, clarity = _zone(yaw, pitch)
    return Gaze(zone, round(fit * agreement * clarity, 3))


def _iris_offset(points: F32, contour: tuple[int, ...], iris: slice) -> tuple[float, float]:
    """(across, up) of the iris centre from the middle of the corners, over half the eye's width; across >
    0 to the right of an upright picture."""
    first, last = points[contour[0], :2], points[contour[8], :2]
    left, right = (first, last) if first[0] <= last[0] else (last, first)
    axis = right - left
    width = float(np.linalg.norm(axis)) or 1.0
    axis = axis / width
    offset = points[iris][0, :2] - (left + right) / 2
    along, below = float(offset @ axis), float(offset @ np.array([-axis[1], axis[0]]))
    return along / (width / 2), -below / (width / 2)


def _degrees(offset: float) -> float:
    return math.degrees(math.asin(max(-1.0, min(1.0, offset * _HALF_WIDTH_OVER_RADIUS))))


def _zone(yaw: float, pitch: float) -> tuple[Zone, float]:
    """The zone of a direction and how clearly it lies inside, [0.5, 1]: 0.5 on a border, 1 from 15 degrees
    on."""
    away = math.hypot(yaw, pitch)
    if away <= AT_CAMERA:
        return "at_camera", 0.5 + 0.5 * (AT_CAMERA - away) / AT_CAMERA
    clarity = 0.5 + 0.5 * min(1.0, (away - AT_CAMERA) / AT_CAMERA)
    if away >= _AWAY:
        return "away", clarity
    if abs(yaw) >= abs(pitch):
        return ("right" if yaw > 0 else "left"), clarity
    return ("up" if pitch > 0 else "down"), clarity
