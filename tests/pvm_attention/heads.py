"""Heads that are not the canonical face: a bent cylinder with a nose, on which landmarks are laid by
direction."""

from __future__ import annotations

import numpy as np

from pvm_attention.canonical_face import POSE_LANDMARKS, POSE_POINTS
from pvm_attention.head_pose import rotation_of
from pvm_core.arrays import F32, F64


def other_head(rng: np.random.Generator) -> F64:
    """Places (N, 3) of the pose landmarks on a head of another shape: an upright elliptic cylinder whose
    crown and jaw bend back, with a nose as a wedge; of the canonical face only the places in the front
    view are taken, stretched by a random share of up to 8 % in each direction."""
    wide, high = rng.uniform(0.92, 1.08, 2)
    x, y = POSE_POINTS[:, 0] * wide, POSE_POINTS[:, 1] * high
    # Heads are 15 to 18 cm wide and 17 to 20 cm deep (half of each here).
    half, depth = 8.1 * wide * rng.uniform(0.99, 1.03), rng.uniform(8.5, 10.0)
    round_ = depth * (np.sqrt(np.clip(1 - (x / half) ** 2, 0.02, None)) - 1)
    bend = -rng.uniform(0.5, 1.8) * ((y - 1) / 8) ** 4
    along = np.interp(y, [-2.4, -0.6, 3.5, 4.0], [0.3, 1.0, 0.1, 0.0])
    nose = rng.uniform(2.0, 3.2) * along * np.clip(1 - np.abs(x) / 2.2, 0, None)
    return np.stack([x, y, 4.6 + round_ + bend + nose], axis=1)


def projected(
    head: F64, angles: tuple[float, float, float], focal: float, rng: np.random.Generator, noise: float
) -> tuple[F32, int, int]:
    """Landmarks (478, 3), of which only those of the pose are set, of a head in a picture of another camera.

    Args:
        angles: yaw, pitch, roll in degrees.
        focal: focal length over the longer side.
        noise: standard deviation of each coordinate, pixels.
    """
    width, height = 640, 360
    depth = rng.uniform(45, 110)
    place = np.array([rng.uniform(-0.15, 0.15) * depth, rng.uniform(-0.08, 0.08) * depth, depth])
    seen = head @ rotation_of(*angles).T + place
    flat = seen[:, :2] / seen[:, 2:] * focal * width + np.array([width / 2, height / 2])
    points = np.zeros((478, 3), np.float32)
    points[POSE_LANDMARKS, :2] = flat + rng.normal(0, noise, flat.shape)
    return points, width, height
