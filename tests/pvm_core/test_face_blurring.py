"""What is left of a face, and the refusal where none can be found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pvm_core.errors import ModelError
from pvm_core.faces.blurring import FaceBlur, without_faces


def _noise(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 255, (200, 300, 3), np.uint8)


def test_the_whole_box_is_means_and_what_lies_apart_is_untouched() -> None:
    rgb = _noise(1)
    before = rgb.copy()
    out = without_faces(rgb, [(100, 60, 60, 80)])
    assert np.array_equal(rgb, before)
    box = np.s_[60:140, 100:160]
    assert out[box].std() < 0.4 * rgb[box].std()
    changed = (out != rgb).any(axis=2)
    assert changed[box].mean() > 0.99
    assert not changed[:40].any()
    assert not changed[:, :85].any()
    assert not changed[:, 176:].any()


def test_two_pictures_of_the_same_means_cannot_be_told_apart() -> None:
    rgb = np.full((200, 300, 3), 90, np.uint8)
    other = rgb.copy()
    # A chequered face of the same mean in every cell.
    other[60:140:2, 100:160], other[61:140:2, 100:160] = 80, 100
    box = (100.0, 60.0, 60.0, 80.0)
    gap = without_faces(rgb, [box]).astype(int) - without_faces(other, [box])
    assert np.abs(gap).max() <= 2


def test_boxes_that_touch_are_one_and_boxes_over_the_edge_are_cut() -> None:
    rgb = _noise(2)
    one = without_faces(rgb, [(100, 60, 40, 40), (110, 65, 40, 40), (120, 62, 40, 40)])
    again = without_faces(rgb, [(120, 62, 40, 40), (100, 60, 40, 40), (110, 65, 40, 40)])
    assert np.array_equal(one, again)
    cut = without_faces(rgb, [(-30, -20, 60, 60), (280, 190, 50, 50), (900, 900, 10, 10)])
    assert (cut != rgb).any(axis=2)[:30, :20].mean() > 0.95


def test_without_the_networks_nothing_is_blurred_and_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="make attention") as caught:
        FaceBlur(tmp_path)
    assert caught.value.code == "evidence.faces"
    assert "pvm models pull face-mesh" in str(caught.value)
