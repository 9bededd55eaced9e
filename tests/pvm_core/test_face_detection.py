"""The detector's output decoded, and detectors by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pvm_core.errors import InputError, ModelError
from pvm_core.faces.detection import SIDE, anchors, decode, load_detector


def test_anchors_are_those_of_the_published_layers() -> None:
    found = anchors()
    assert found.shape == (896, 2)
    assert found[0] == pytest.approx([0.5 / 16, 0.5 / 16])
    assert found[511] == pytest.approx([15.5 / 16, 15.5 / 16])
    assert found[512] == pytest.approx([0.5 / 8, 0.5 / 8])


def test_a_box_is_laid_around_its_anchor_and_overlapping_ones_are_one_face() -> None:
    rows, scores = np.zeros((896, 16), np.float32), np.full(896, -50, np.float32)
    for at, score in ((100, 3.0), (101, 2.0), (700, 1.0)):
        rows[at, 2:4], scores[at] = 32, score
    faces, chance = decode(rows, scores)
    assert len(faces) == 2
    assert chance[0] == pytest.approx(1 / (1 + np.exp(-3.0)))
    assert faces[0, 2:4] == pytest.approx([32 / SIDE, 32 / SIDE])
    assert faces[0, :2] + faces[0, 2:4] / 2 == pytest.approx(anchors()[100])


def test_nothing_found_is_an_empty_list_of_rows() -> None:
    faces, chance = decode(np.zeros((896, 16), np.float32), np.full(896, -50, np.float32))
    assert (faces.shape, chance.shape) == ((0, 16), (0,))


def test_an_unknown_detector_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="blazeface, haar, yunet:PATH") as caught:
        load_detector("yolo", tmp_path)
    assert caught.value.code == "attention.detector"
    with pytest.raises(InputError, match="YuNet file"):
        load_detector(f"yunet:{tmp_path / 'none.onnx'}", tmp_path)
    with pytest.raises(ModelError, match="pvm models pull blazeface"):
        load_detector("blazeface", tmp_path)


def test_the_detector_of_the_base_install_needs_no_weights(tmp_path: Path) -> None:
    haar = load_detector("haar", tmp_path)
    assert haar(np.full((120, 160, 3), 127, np.uint8)) == []
