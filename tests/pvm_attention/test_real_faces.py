"""Real previews: faces found where they are and nowhere else, turns of the right sign, a real blink."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from pvm_attention.blinks import find_blinks
from pvm_attention.chain import FaceSample, LookedAt, follow_faces
from pvm_attention.eyes import eye_openness
from pvm_attention.gaze import gaze_of
from pvm_attention.head_pose import HeadPose, solve_pose
from pvm_attention.rules import AttentionRules
from pvm_core.faces.detection import FaceDetector
from pvm_core.faces.landmarks import LandmarkNet, region_of_box
from pvm_core.images import decode_stored
from pvm_core.video import iter_frames

pytestmark = pytest.mark.attention
Follow = Callable[[str], list[LookedAt]]


@pytest.fixture(scope="module")
def follow(real_faces: Path, blazeface: FaceDetector, landmark_net: LandmarkNet) -> Follow:
    known: dict[str, list[LookedAt]] = {}

    def followed(name: str) -> list[LookedAt]:
        if name not in known:
            frames = iter_frames(real_faces / name)
            known[name] = list(follow_faces(frames, 30.0, blazeface, landmark_net, AttentionRules()))
        return known[name]

    return followed


def _pose(sample: FaceSample) -> HeadPose:
    found = solve_pose(sample.landmarks.points, sample.width, sample.height)
    assert found is not None
    return found


def _truth(folder: Path) -> list[dict[str, str]]:
    with (folder / "truth.csv").open() as file:
        return list(csv.DictReader(file))


def test_landmarks_are_found_on_frontal_frames(follow: Follow, real_faces: Path) -> None:
    wanted = found = 0
    for row in _truth(real_faces):
        if row["turn"] != "frontal":
            continue
        for looked in follow(row["file"])[int(row["first_frame"]) : int(row["last_frame"]) + 1]:
            wanted, found = wanted + 1, found + bool(looked.faces)
    assert wanted > 60
    assert found >= 0.95 * wanted


def test_marked_turns_have_the_right_sign(follow: Follow, real_faces: Path) -> None:
    signs = {"image-left": -1, "image-right": 1}
    turned = [row for row in _truth(real_faces) if row["turn"] in signs]
    assert turned
    for row in turned:
        for looked in follow(row["file"])[int(row["first_frame"]) : int(row["last_frame"]) + 1]:
            (face,) = looked.faces
            assert _pose(face).yaw * signs[row["turn"]] > 10, (row, looked.ts)


def test_one_head_is_one_track(follow: Follow) -> None:
    looked = follow("single_face.mp4")
    assert {face.track for now in looked for face in now.faces} == {0}
    assert all(now.faces for now in looked)
    assert all(abs(_pose(face).yaw) < 15 for now in looked for face in now.faces)


def test_a_face_that_leaves_is_followed_until_then(follow: Follow) -> None:
    looked = follow("face_noface.mov")
    with_face = [now.ts for now in looked if now.faces]
    assert with_face
    assert max(with_face) < looked[-1].ts - 1


def test_no_face_is_found_where_none_is(
    follow: Follow, real_faces: Path, blazeface: FaceDetector, landmark_net: LandmarkNet
) -> None:
    assert not any(now.faces for now in follow("no_face.mp4"))
    folder = real_faces.parent / "photos" / "grocery" / "reference"
    pictures = sorted(p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
    assert pictures
    for path in pictures:
        rgb = decode_stored(path.read_bytes())
        for face in blazeface(rgb):
            assert landmark_net(rgb, region_of_box(face.box, face.eyes)) is None, path.name


def test_a_real_blink_is_seen(follow: Follow) -> None:
    faces = [face for now in follow("single_face.mp4") for face in now.faces]
    series = find_blinks(
        [f.ts for f in faces], [eye_openness(f.landmarks.points) for f in faces], [True] * len(faces)
    )
    assert len(series.blinks) == 1
    assert 0.7 < series.blinks[0].start_s < 1.0


def test_one_who_faces_the_camera_looks_at_it(follow: Follow) -> None:
    zones = []
    for now in follow("single_face.mp4"):
        for face in now.faces:
            gaze = gaze_of(face.landmarks.points, _pose(face))
            zones.append(gaze.zone if gaze else None)
    assert zones.count("at_camera") > 0.9 * len(zones)


def test_every_frame_of_a_video_is_read_in_order(real_faces: Path) -> None:
    ts = [frame.ts for frame in iter_frames(real_faces / "single_face.mp4")]
    assert len(ts) == 72
    assert ts == sorted(set(ts))
    assert len(list(iter_frames(real_faces / "head-pose-face-detection-male.gif"))) == 62
