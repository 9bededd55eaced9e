from __future__ import annotations

import numpy as np
import pytest

from pvm_core.errors import InputError, StoreError
from pvm_core.keypoints import SIFT_CONTRAST, KeypointParams, detect, from_npz, spread, to_npz
from pvm_core.rules import Rules
from tests.pvm_core.prints import label


@pytest.mark.parametrize("detector", ["sift", "akaze"])
def test_npz_gives_the_same_values_back(detector: str) -> None:
    found = detect(label(1), None, KeypointParams(detector, 300))  # type: ignore[arg-type]
    again = from_npz(to_npz(found))
    assert len(found) > 50
    for name in ("xy", "scale", "angle", "response", "descriptors"):
        assert np.array_equal(getattr(found, name), getattr(again, name))
    assert (again.width, again.height, again.detector) == (found.width, found.height, detector)


@pytest.mark.parametrize("detector", ["sift", "akaze"])
def test_same_picture_gives_the_same_keypoints(detector: str) -> None:
    params = KeypointParams(detector, 200)  # type: ignore[arg-type]
    assert to_npz(detect(label(2), None, params)) == to_npz(detect(label(2), None, params))


def test_mask_bounds_keypoints_and_number_is_kept() -> None:
    rgb = label(3, width=500, height=500)
    mask = np.zeros((500, 500), np.uint8)
    mask[100:300, 150:400] = 255
    found = detect(rgb, mask, KeypointParams("sift", 60))
    assert 20 < len(found) <= 60
    assert found.xy[:, 0].min() >= 140
    assert found.xy[:, 0].max() <= 410
    assert found.xy[:, 1].min() >= 90
    assert found.xy[:, 1].max() <= 310


def test_keypoints_spread_over_a_picture_with_one_busy_corner() -> None:
    rng = np.random.default_rng(0)
    rgb = np.full((400, 400, 3), 128, np.uint8)
    rgb[:100, :100] = rng.integers(0, 255, (100, 100, 1))
    rgb[200:, 200:] = label(5, width=200, height=200)
    found = detect(rgb, None, KeypointParams("sift", 200))
    assert (found.xy[:, 0] > 180).sum() > 60


def _busy(corner: int) -> np.ndarray:
    """500 x 500: noise in the first `corner` rows and columns, print in the last 200."""
    rng = np.random.default_rng(0)
    rgb = np.full((500, 500, 3), 128, np.uint8)
    rgb[:corner, :corner] = rng.integers(0, 255, (corner, corner, 1))
    rgb[300:, 300:] = label(5, width=200, height=200)
    return rgb


@pytest.mark.parametrize("corner", [500, 250, 60])
@pytest.mark.parametrize("masked", [False, True])
def test_keypoints_are_those_that_spreading_all_of_them_gives(corner: int, masked: bool) -> None:
    import cv2

    rgb, mask = _busy(corner), np.full((500, 500), 255, np.uint8)
    mask[20:480, 250:270] = 0
    found = detect(rgb, mask if masked else None, KeypointParams("sift", 200))
    sift = cv2.SIFT_create(contrastThreshold=SIFT_CONTRAST)  # type: ignore[attr-defined]
    allowed = cv2.dilate(mask, np.ones((9, 9), np.uint8)) if masked else None
    points, every = sift.detectAndCompute(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), allowed)
    chosen = spread(points, (500, 500), 200)
    assert len(chosen) > 100
    assert np.array_equal(found.xy, np.array([points[i].pt for i in chosen], np.float32))
    assert np.array_equal(found.descriptors, every[chosen].astype(np.uint8))


def test_flat_picture_has_none_and_survives_the_round_trip() -> None:
    found = detect(np.full((64, 64, 3), 90, np.uint8), None, KeypointParams())
    assert len(found) == 0
    assert len(from_npz(to_npz(found))) == 0
    assert found.root.shape == (0, 128)


def test_empty_mask_takes_the_whole_picture_and_finds_nothing_in_it() -> None:
    found = detect(label(1), np.zeros((320, 240), np.uint8), KeypointParams())
    assert len(found) == 0


def test_coordinates_are_those_of_the_picture_given() -> None:
    import cv2

    small = label(7, width=300, height=300)
    large = np.ascontiguousarray(cv2.resize(small, (1_200, 1_200), interpolation=cv2.INTER_CUBIC))
    found = detect(large, None, KeypointParams("sift", 300))
    assert found.xy.max() > 900
    assert (found.width, found.height) == (1_200, 1_200)


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"not a file", to_npz(detect(label(1), None, KeypointParams()))[:200]]
)
def test_damaged_file_is_named(data: bytes) -> None:
    with pytest.raises(StoreError) as caught:
        from_npz(data)
    assert caught.value.code == "keypoints.corrupt"


def test_arrays_that_do_not_fit_are_refused() -> None:
    import dataclasses

    found = detect(label(1), None, KeypointParams())
    with pytest.raises(StoreError, match="different length"):
        from_npz(to_npz(dataclasses.replace(found, scale=found.scale[:-1])))
    with pytest.raises(StoreError, match="wrong shape"):
        from_npz(to_npz(dataclasses.replace(found, descriptors=found.descriptors[:, :64])))


def test_key_follows_every_parameter() -> None:
    keys = {
        KeypointParams().key,
        KeypointParams("akaze").key,
        KeypointParams(max_keypoints=10).key,
        KeypointParams(max_side=320).key,
    }
    assert len(keys) == 4
    assert KeypointParams.from_rules(Rules()).key == KeypointParams.from_rules(Rules(accept=0.9)).key


def test_unknown_detector_is_refused() -> None:
    with pytest.raises(InputError, match="surf"):
        KeypointParams("surf")  # type: ignore[arg-type]
