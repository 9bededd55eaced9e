"""Real faces blurred: none can be found again, and a picture without one stays as it is."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from pvm_core.faces.blurring import FaceBlur
from pvm_core.faces.finding import FaceFinder
from pvm_core.images import Rgb
from pvm_core.video import iter_frames

pytestmark = pytest.mark.attention


@pytest.fixture(scope="module")
def find(face_models: Path) -> FaceFinder:
    return FaceFinder(face_models)


@pytest.fixture(scope="module")
def blur(face_models: Path) -> FaceBlur:
    return FaceBlur(face_models)


def _faces(folder: Path) -> Iterator[Rgb]:
    """Every eighth frame of which the truth says that a face is in it."""
    with (folder / "truth.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["first_frame"]]
    for row in rows:
        frames = list(iter_frames(folder / row["file"]))
        for at in range(int(row["first_frame"]), int(row["last_frame"]) + 1, 8):
            yield frames[at].to_rgb(960)


def _in_a_room(rgb: Rgb, times: int) -> Rgb:
    """The picture a `times`-th as wide within a grey one of its size."""
    height, width = rgb.shape[:2]
    room = np.full_like(rgb, 128)
    small = cv2.resize(rgb, (width // times, height // times), interpolation=cv2.INTER_AREA)
    room[height // 3 : height // 3 + small.shape[0], width // 4 : width // 4 + small.shape[1]] = small
    return room


@pytest.mark.parametrize("times", [1, 3])
def test_no_face_can_be_found_again(times: int, real_faces: Path, find: FaceFinder, blur: FaceBlur) -> None:
    looked = 0
    for frame in _faces(real_faces):
        rgb = frame if times == 1 else _in_a_room(frame, times)
        boxes = find(rgb)
        assert boxes, "a face was missed"
        shown = blur(rgb)
        assert find(shown) == []
        for left, top, width, height in boxes:
            y, x = max(int(top), 0), max(int(left), 0)
            place = np.s_[y : int(top + height), x : int(left + width)]
            before, after = (cv2.Laplacian(cv2.cvtColor(one[place], cv2.COLOR_RGB2GRAY), cv2.CV_64F)
                             for one in (rgb, shown))  # fmt: skip
            # What is left has no edge in it: the means alone.
            assert after.std() < 0.35 * before.std()
        looked += 1
    assert looked > 10


def test_a_picture_without_a_face_stays_as_it_is(real_faces: Path, blur: FaceBlur) -> None:
    for frame in list(iter_frames(real_faces / "no_face.mp4"))[::20]:
        rgb = frame.to_rgb(960)
        assert blur(rgb) is rgb
