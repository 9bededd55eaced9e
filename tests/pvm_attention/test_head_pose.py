"""Sign and size of a head's turn: another head than the one that is solved with, another camera, noise."""

from __future__ import annotations

import numpy as np
import pytest

from pvm_attention.head_pose import angles_of, rotation_of, solve_pose
from tests.pvm_attention.heads import other_head, projected


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, 0, 0), (0, -20, 0), (0, 0, 15), (-40, 25, -30)])
def test_angles_are_those_of_the_rotation(angles: tuple[float, float, float]) -> None:
    assert angles_of(rotation_of(*angles)) == pytest.approx(angles, abs=1e-6)


def test_signs_are_those_of_the_picture() -> None:
    nose = np.array([0.0, 0.0, 1.0])
    # OpenCV's camera: x right, y down. A head that looks into the camera has its nose towards it.
    assert rotation_of(0, 0, 0) @ nose == pytest.approx([0, 0, -1])
    assert (rotation_of(30, 0, 0) @ nose)[0] > 0.4, "yaw > 0 points to the right of the picture"
    assert (rotation_of(0, 30, 0) @ nose)[1] < -0.4, "pitch > 0 points up"
    crown = rotation_of(0, 0, 30) @ np.array([0.0, 1.0, 0.0])
    assert crown[0] > 0.4, "roll > 0 tilts the crown to the right of the picture"


def test_turns_of_another_head_through_another_camera_are_measured() -> None:
    rng = np.random.default_rng(13)
    errors, wrong_sign = [], 0
    for yaw in (-45, -30, -15, 0, 15, 30, 45):
        for pitch in (-45, -25, 0, 25, 45):
            for roll in (-45, 0, 45):
                points, width, height = projected(
                    other_head(rng), (yaw, pitch, roll), rng.uniform(0.8, 1.5), rng, noise=1.0
                )
                pose = solve_pose(points, width, height)
                assert pose is not None, (yaw, pitch, roll)
                errors.append([abs(pose.yaw - yaw), abs(pose.pitch - pitch), abs(pose.roll - roll)])
                wrong_sign += any(
                    w and w * f < 0
                    for w, f in zip((yaw, pitch, roll), (pose.yaw, pose.pitch, pose.roll), strict=True)
                )
    assert np.mean(errors) <= 5, np.mean(errors, axis=0)
    assert wrong_sign == 0


def test_points_that_are_no_face_have_no_pose() -> None:
    rng = np.random.default_rng(5)
    scattered = rng.uniform(0, 300, (478, 3)).astype(np.float32)
    assert solve_pose(scattered, 640, 360) is None
