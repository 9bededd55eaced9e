"""Attention by second: weights, coverage, and gaps that are unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_attention.gaze import ZONES, Gaze
from pvm_attention.head_pose import HeadPose
from pvm_attention.rules import AttentionRules
from pvm_attention.scoring import Sample, score_track

RULES = AttentionRules()
AHEAD = HeadPose(0, 0, 0, 0.01)
AT = Gaze("at_camera", 1.0)


def test_one_who_looks_into_the_camera_has_full_attention() -> None:
    found = score_track([Sample(n / 10, AHEAD, AT, 1.0) for n in range(30)], RULES)
    assert found.score == pytest.approx(1)
    assert (found.coverage, found.confidence) == (1, 1)
    assert [s.second for s in found.seconds] == [0, 1, 2]


def test_one_who_is_turned_away_has_little() -> None:
    away = [Sample(n / 10, HeadPose(60, 0, 0, 0.02), Gaze("away", 0.9), None) for n in range(20)]
    found = score_track(away, RULES)
    assert found.score is not None
    assert found.score < 0.1


def test_a_gap_is_unknown_and_not_inattentive() -> None:
    seen = [Sample(n / 10, AHEAD, AT, 1.0) for n in range(10)]
    later = [replace(s, ts=s.ts + 5) for s in seen]
    found = score_track([*seen, *later], RULES)
    assert [s.score for s in found.seconds[1:5]] == [None] * 4
    assert found.score == pytest.approx(1), "unknown seconds do not lower the mean"
    assert found.coverage == pytest.approx(2 / 6)


def test_a_second_of_which_too_little_is_known_is_unknown() -> None:
    mixed = [Sample(n / 10, AHEAD if n < 4 else None, None, None) for n in range(10)]
    (only,) = score_track(mixed, RULES).seconds
    assert (only.score, only.coverage) == (None, 0.4)


def test_weights_decide_and_terms_that_are_unknown_are_left_out() -> None:
    pose_only = [Sample(0.0, AHEAD, None, None)]
    assert score_track(pose_only, RULES).score == pytest.approx(1)
    shut = [Sample(0.0, AHEAD, AT, 0.0)]
    assert score_track(shut, RULES).score == pytest.approx(0.8)
    assert score_track(shut, replace(RULES, weight_eyes=0.0)).score == pytest.approx(1)


SAMPLES = st.builds(
    Sample,
    st.floats(0, 30),
    st.none()
    | st.builds(HeadPose, st.floats(-80, 80), st.floats(-70, 70), st.floats(-90, 90), st.just(0.02)),
    st.none() | st.builds(Gaze, st.sampled_from(ZONES), st.floats(0, 1)),
    st.none() | st.floats(0, 1),
)


@given(st.lists(SAMPLES, max_size=60))
def test_scores_lie_in_their_range(samples: list[Sample]) -> None:
    found = score_track(sorted(samples, key=lambda s: s.ts), RULES)
    scores = [s.score for s in found.seconds if s.score is not None]
    assert all(0 <= score <= 1 for score in scores)
    assert (found.score is None) == (not scores)
    assert 0 <= found.coverage <= 1
    assert 0 <= found.confidence <= 1
