"""What agrees on a banner or a frame places nothing."""

from __future__ import annotations

import uuid

import numpy as np

from pvm_core.picture_content import GRID
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import load_calibration
from pvm_core.scoring.pair import Pair
from pvm_core.scoring.pair_score import score_pair
from pvm_core.shared_material import discounted, share_marked
from pvm_core.verification import PairEvidence

FOUND = PairEvidence(
    200, 100, keypoints=800, votes=110, mutual=90, model="homography",
    transform=(1.0, 0, 0, 0, 1, 0, 0, 0, 1),
    quad=(0.0, 0, 10, 0, 10, 10, 0, 10), coverage=0.9, rms=0.5, scale=1.0, confirmed=300, confirmed_share=0.9,
    confirmed_cover=0.9, footprint=(0.0, 0, 10, 0, 10, 10), print_mid=0.9, print_low=0.8, print_core=0.9,
    conflict=0.0, edge_corr=0.9, flow=0.0, flow_agree=1.0, colour_corr=0.95, lab_corr=0.95, colour_gap=2.0,
    colour_worst=5.0, hue_conflict=0.0, sharpness=1.0, visible=1.0,
)  # fmt: skip
CLASSIC = load_calibration(None, "classic")


def test_points_are_counted_on_the_cells_they_lie_on() -> None:
    marked = np.zeros((GRID, GRID), bool)
    marked[: GRID // 4] = True
    assert share_marked(marked, [(50, 10), (50, 90), (99.9, 24), (0, 26)], 100, 100) == 0.5
    assert share_marked(marked, [], 100, 100) == 0.0
    assert share_marked(marked, [(100, 200)], 100, 200) == 0.0


def test_what_is_left_counts_and_nothing_left_is_no_evidence() -> None:
    assert discounted(FOUND, 0.0, 5) is FOUND
    half = discounted(FOUND, 0.5, 5)
    assert half is not None
    assert (half.inliers, half.votes, half.confirmed) == (50, 55, 150)
    assert discounted(FOUND, 0.97, 5) is None


def test_a_pair_that_agrees_on_a_banner_alone_is_not_accepted_however_alike() -> None:
    pair = Pair(uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), 1.0, 0)
    rules = Rules()

    def scored(share: float) -> tuple[float, bool]:
        found = score_pair(pair, FOUND, 0.99, 0.99, CLASSIC, rules, 0.3, share)
        return found.score_pair or 0.0, found.shared

    assert scored(0.0)[0] >= rules.accept
    assert scored(0.5)[0] >= rules.accept
    score, shared = scored(1.0)
    assert score < rules.accept
    assert shared
