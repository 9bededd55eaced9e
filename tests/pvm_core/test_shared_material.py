"""What agrees on a banner or a frame places nothing."""

from __future__ import annotations

import uuid

import numpy as np

from pvm_core.keypoints import KeypointParams, detect
from pvm_core.picture_content import GRID
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import load_calibration
from pvm_core.scoring.pair import Pair
from pvm_core.scoring.pair_score import score_pair
from pvm_core.shared_material import discounted, share_marked, without_bands
from pvm_core.verification import PairEvidence, VerifyParams, View, verify_frame
from tests.pvm_core.drawn import bannered, studio
from tests.pvm_core.prints import TILTED, label, place

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


def test_a_view_is_compared_without_the_banner_over_it() -> None:
    plain, params = studio(label(4)), KeypointParams()
    covered = bannered(plain, 0.2)
    shown = without_bands(View(detect(covered, None, params), covered))
    assert shown.keypoints.xy[:, 1].max() < 0.81 * 600
    assert shown.mask is not None
    assert not shown.mask[500:].any()
    assert shown.mask[:440].all()
    same = View(detect(plain, None, params), plain)
    assert without_bands(same) is same
    frame, _ = place(plain, TILTED)
    with_banner, without = verify_frame(
        View(detect(frame, None, params), frame),
        [View(detect(covered, None, params), covered), shown],
        VerifyParams(),
    )
    assert (without.print_low or 0.0) > (with_banner.print_low or 0.0)


def test_a_pair_that_agrees_on_a_banner_alone_is_not_accepted_however_alike() -> None:
    pair = Pair(uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), 1.0, 0)
    rules = Rules()

    def scored(share: float | None) -> tuple[float, bool]:
        found = score_pair(pair, FOUND, 0.99, 0.99, CLASSIC, rules, 0.3, share)
        return found.score_pair or 0.0, found.shared

    assert scored(None)[0] >= rules.accept
    assert scored(0.0)[0] >= rules.accept
    assert scored(0.5)[0] >= rules.accept
    score, shared = scored(1.0)
    assert score < rules.accept
    assert shared


def test_a_picture_with_a_banner_is_not_accepted_by_its_looks() -> None:
    pair = Pair(uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), 1.0, 0)
    few, learned = PairEvidence(20, 0, keypoints=400), load_calibration(None, "efficientnet-lite0")
    plain, banner = (score_pair(pair, few, 0.97, 0.97, learned, Rules(), 0.3, share) for share in (None, 0.0))
    assert plain.by_looks
    assert plain.score_pair is not None
    assert banner.score_pair is not None
    assert plain.score_pair >= Rules().accept > banner.score_pair
