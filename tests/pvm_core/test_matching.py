from __future__ import annotations

import numpy as np
import pytest

from pvm_core.keypoints import KeypointParams, detect
from pvm_core.verification.matching import UnitRows, match_frame
from tests.pvm_core.prints import TILTED, U8, label, place

RATIO = 0.85


def rows(rgb: U8, detector: str = "sift") -> UnitRows:
    return UnitRows(detect(rgb, None, KeypointParams(detector)).root)  # type: ignore[arg-type]


@pytest.mark.parametrize("detector", ["sift", "akaze"])
@pytest.mark.parametrize("seed", range(4))
def test_matches_are_those_of_the_exact_product(detector: str, seed: int) -> None:
    frame = rows(place(label(seed), TILTED, seed)[0], detector)
    product = rows(label(seed), detector)
    sims = frame.exact.astype(np.float64) @ product.exact.T.astype(np.float64)
    best = np.sort(sims, axis=1)
    passes = (2 - 2 * best[:, -1]) < RATIO**2 * (2 - 2 * best[:, -2])
    (found,) = match_frame(frame, [product], RATIO)
    assert len(found) > 20
    assert found.frame.tolist() == np.flatnonzero(passes).tolist()
    assert found.product.tolist() == sims.argmax(axis=1)[passes].tolist()
    mutual = sims.argmax(axis=0)[found.product] == found.frame
    assert found.mutual.tolist() == mutual.tolist()
    exact = (2 - 2 * best[:, -1])[passes] / (2 - 2 * best[:, -2])[passes]
    np.testing.assert_allclose(found.ratio, np.sqrt(exact), atol=1e-3)


def test_pictures_with_one_keypoint_or_none_match_nothing() -> None:
    product = rows(label(1))
    few = [UnitRows(product.exact[:n]) for n in (0, 1)]
    assert [len(t) for t in match_frame(product, few, RATIO)] == [0, 0]
    assert [len(match_frame(one, [product], RATIO)[0]) for one in few] == [0, 0]
