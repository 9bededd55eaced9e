"""Gaze zones: irises moved in eyes of known shape, heads turned, eyes closed."""

from __future__ import annotations

import numpy as np
import pytest

from pvm_attention.gaze import gaze_of
from pvm_attention.head_pose import HeadPose
from pvm_core.arrays import F32
from pvm_core.faces.landmarks import LEFT_CONTOUR, LEFT_IRIS, POINTS, RIGHT_CONTOUR, RIGHT_IRIS


def _eyes(across: float = 0.0, up: float = 0.15, opening: float = 0.3) -> F32:
    """Two eyes of 40 pixels' width whose irises stand off the middle by shares of the half width."""
    points = np.zeros((POINTS, 3), np.float32)
    for contour, iris, x in ((LEFT_CONTOUR, LEFT_IRIS, 100.0), (RIGHT_CONTOUR, RIGHT_IRIS, 180.0)):
        outer, inner = (x - 20, x + 20) if contour is LEFT_CONTOUR else (x + 20, x - 20)
        along = np.linspace(outer, inner, 9)
        lid = 20 * opening * np.sin(np.linspace(0, np.pi, 9)) * 1.2
        points[list(contour[:9]), :2] = np.stack([along, 100 + lid], axis=1)
        points[list(contour[9:]), :2] = np.stack([along[1:-1], 100 - lid[1:-1]], axis=1)
        points[iris, :2] = (x + 20 * across, 100 - 20 * up)
    return points


AHEAD = HeadPose(0, 0, 0, 0.01)


@pytest.mark.parametrize(
    ("across", "up", "zone"),
    [
        (0.0, 0.15, "at_camera"),
        (0.1, 0.15, "at_camera"),
        (0.5, 0.15, "right"),
        (-0.5, 0.15, "left"),
        (0.0, 0.6, "up"),
        (0.0, -0.3, "down"),
    ],
)
def test_irises_decide_where_the_head_looks_ahead(across: float, up: float, zone: str) -> None:
    found = gaze_of(_eyes(across, up), AHEAD)
    assert found is not None
    assert found.zone == zone
    assert 0 < found.confidence <= 1


def test_eyes_may_stay_on_the_camera_while_the_head_turns() -> None:
    turned = HeadPose(20, 0, 0, 0.01)
    straight, back = gaze_of(_eyes(), turned), gaze_of(_eyes(across=-0.27), turned)
    assert straight is not None
    assert straight.zone == "right"
    assert back is not None
    assert back.zone == "at_camera"


def test_a_head_far_turned_looks_away() -> None:
    found = gaze_of(_eyes(), HeadPose(-60, 0, 0, 0.02))
    assert found is not None
    assert found.zone == "away"


def test_closed_eyes_look_nowhere_that_is_known() -> None:
    assert gaze_of(_eyes(opening=0.05), AHEAD) is None


def test_eyes_that_disagree_are_trusted_less() -> None:
    points = _eyes()
    points[RIGHT_IRIS, 0] += 8
    sure, unsure = gaze_of(_eyes(), AHEAD), gaze_of(points, AHEAD)
    assert sure is not None
    assert unsure is not None
    assert unsure.confidence < sure.confidence
