"""Faces followed by their landmarks: tracks, gaps, cuts, and what is looked at."""

from __future__ import annotations

import numpy as np
import pytest

from pvm_attention.rules import AttentionRules
from pvm_attention.sampling import FrameChooser
from pvm_attention.tracking import Tracker
from pvm_core.faces.detection import Face
from pvm_core.faces.landmarks import MESH_POINTS, POINTS, Landmarks
from pvm_core.faces.regions import Region, region_around

Rgb = np.ndarray


def _face(x: float, y: float, side: float = 60.0) -> Landmarks:
    rng = np.random.default_rng(0)
    points = np.zeros((POINTS, 3), np.float32)
    points[:, :2] = rng.uniform(0, side, (POINTS, 2)) + np.array([x, y])
    points[33, :2], points[263, :2] = (x + 10, y + 20), (x + side - 10, y + 20)
    return Landmarks(points, 0.9)


class Stage:
    """Faces that stand where the script says; both networks see them there."""

    def __init__(self) -> None:
        self.faces: list[Landmarks] = []
        self.searches = 0

    def detect(self, rgb: Rgb) -> list[Face]:
        self.searches += 1
        return [Face(face.box, 0.9) for face in self.faces]

    def locate(self, rgb: Rgb, region: Region) -> Landmarks | None:
        near = [
            f for f in self.faces if np.hypot(f.region.x - region.x, f.region.y - region.y) < region.side / 4
        ]
        return near[0] if near else None


def _play(stage: Stage, script: list[list[Landmarks]], step_s: float = 0.1) -> list[list[int]]:
    tracker, picture = Tracker(stage.detect, stage.locate), np.zeros((360, 640, 3), np.uint8)
    seen = []
    for n, faces in enumerate(script):
        stage.faces = faces
        seen.append([f.track for f in tracker.step(n * step_s, picture)])
    return seen


def test_a_face_keeps_its_number_while_it_moves() -> None:
    stage = Stage()
    assert _play(stage, [[_face(100 + 3 * n, 80)] for n in range(20)]) == [[0]] * 20
    assert stage.searches <= 4, "followed faces are searched for once a second"


def test_a_face_that_returns_at_once_is_the_same_and_a_later_one_is_not() -> None:
    here: list[list[Landmarks]] = [[_face(100, 80)]] * 5
    short, long = here + [[]] * 3 + here, here + [[]] * 12 + here
    assert {n for seen in _play(Stage(), short) for n in seen} == {0}
    assert {n for seen in _play(Stage(), long) for n in seen} == {0, 1}


def test_a_cut_to_another_place_begins_another_track() -> None:
    seen = _play(Stage(), [[_face(100, 80)]] * 5 + [[_face(400, 200)]] * 5)
    assert seen[4] == [0]
    assert seen[5] == [1]


def test_two_faces_have_two_numbers() -> None:
    seen = _play(Stage(), [[_face(100, 80), _face(400, 80)]] * 4)
    assert all(sorted(now) == [0, 1] for now in seen)


def test_every_frame_is_looked_at_where_a_face_is_and_few_elsewhere() -> None:
    chooser = FrameChooser(AttentionRules(), 30.0)
    assert sum(chooser.wants(n / 30, True) for n in range(300)) == 300
    chooser = FrameChooser(AttentionRules(), 30.0)
    assert 35 <= sum(chooser.wants(n / 30, False) for n in range(300)) <= 45


def test_time_stamps_decide_and_not_the_count_of_frames() -> None:
    chooser = FrameChooser(AttentionRules(), 120.0)
    uneven = np.cumsum(np.random.default_rng(3).choice([1 / 120, 1 / 60, 1 / 24], 600))
    taken = [t for t in uneven if chooser.wants(float(t), True)]
    assert np.diff(taken).min() >= 0.09 - 1e-9
    assert len(taken) >= 8 * (uneven[-1] - uneven[0])


def test_a_region_leads_to_its_crop_and_back() -> None:
    rng = np.random.default_rng(2)
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[95:105, 195:205] = 255
    region = Region(180, 110, 100, 0.4)
    crop = region.crop(picture, 192)
    rows, columns = np.nonzero(crop[:, :, 0] > 128)
    middle = np.array([[columns.mean(), rows.mean(), 0]], np.float32)
    assert region.to_picture(middle, 192)[0, :2] == pytest.approx([199.5, 99.5], abs=1)
    points = rng.uniform(0, 50, (MESH_POINTS, 2)).astype(np.float32)
    level = region_around(points, np.array([0, 0], np.float32), np.array([10, 0], np.float32), 1.5)
    assert level.side == pytest.approx(1.5 * float(np.ptp(points, axis=0).max()))
