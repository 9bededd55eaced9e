"""Which way a head is turned: yaw, pitch and roll from landmarks far from the eyes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from pvm_attention.canonical_face import POSE_LANDMARKS, POSE_POINTS
from pvm_core.arrays import F32, F64

#: Focal length over the longer side of the picture where the camera is not known: 53 degrees of view, between
#: a telephone's main camera (about 65) and a portrait lens. Other heads through lenses of 0.7 to 1.5 are
#: measured with a mean error of 1.8 to 2.3 degrees (docs/attention.md).
FOCAL: Final = 1.0
#: Mean distance of the projected model from the landmarks, as a share of the face's size, above which the
#: pose is refused. Real frontal faces give 0.01 to 0.03, turned ones up to 0.05.
MAX_ERROR: Final = 0.08
#: Degrees beyond which landmarks are guesses: half of the face is hidden.
MAX_YAW: Final = 80.0
MAX_PITCH: Final = 70.0
_FRONTAL: Final = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class HeadPose:
    """A head's turn against a head that looks straight into the camera, in degrees.

    Attributes:
        yaw: > 0: the nose points to the right of the picture.
        pitch: > 0: the nose points up.
        roll: > 0: the head is turned clockwise in the picture.
        error: mean distance of the projected model from the landmarks over the face's size.
    """

    yaw: float
    pitch: float
    roll: float
    error: float


def solve_pose(points: F32, width: int, height: int, focal: float = FOCAL) -> HeadPose | None:
    """The pose of a face; None where it is not plausible.

    Args:
        points: landmarks (478, 2 or 3), pixels.
        width, height: of the picture, pixels.
        focal: focal length over the longer side.
    """
    seen = np.ascontiguousarray(points[POSE_LANDMARKS, :2], dtype=np.float64)
    length = focal * max(width, height)
    camera = np.array([[length, 0, width / 2], [0, length, height / 2], [0, 0, 1]])
    solved, turn, place = cv2.solvePnP(POSE_POINTS, seen, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    if not solved or not np.isfinite(turn).all() or place[2, 0] <= 0:
        return None
    turn, place = cv2.solvePnPRefineLM(POSE_POINTS, seen, camera, None, turn, place)
    projected, _ = cv2.projectPoints(POSE_POINTS, turn, place, camera, None)
    off = np.linalg.norm(projected.reshape(-1, 2) - seen, axis=1).mean()
    size = math.sqrt(float(np.ptp(seen, axis=0).prod()))
    pose = HeadPose(
        *angles_of(np.asarray(cv2.Rodrigues(turn)[0], np.float64)), error=float(off / max(size, 1e-6))
    )
    plausible = pose.error <= MAX_ERROR and abs(pose.yaw) <= MAX_YAW and abs(pose.pitch) <= MAX_PITCH
    return pose if plausible and place[2, 0] > 0 else None


def angles_of(rotation: F64) -> tuple[float, float, float]:
    """(yaw, pitch, roll) in degrees of the rotation (3, 3) from the canonical face to OpenCV's camera (x
    right, y down, z away): first roll, then pitch, then yaw, about the camera's axes."""
    head = rotation @ _FRONTAL
    yaw = -math.atan2(head[0, 2], head[2, 2])
    pitch = math.asin(float(np.clip(head[1, 2], -1, 1)))
    roll = math.atan2(head[1, 0], head[1, 1])
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)


def rotation_of(yaw: float, pitch: float, roll: float) -> F64:
    """The rotation whose `angles_of` these degrees are."""
    a, b, c = (math.radians(v) for v in (-yaw, -pitch, roll))
    about_y = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    about_z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z @ _FRONTAL)
