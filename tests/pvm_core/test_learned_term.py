"""What learned local features add to a score, and to which pairs."""

from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np
import pytest

from pvm_core.rules import Rules
from pvm_core.scoring.calibration import Sample, from_json, load_calibration, to_json
from pvm_core.scoring.decision import decide
from pvm_core.scoring.learned_term import LEARNED_INLIERS, LEARNED_POINTS, fit_learned, in_doubt
from pvm_core.scoring.pair import Pair, PairScore
from pvm_core.scoring.pair_score import score_pair
from pvm_core.verification import LearnedEvidence, PairEvidence
from pvm_jobs.rules import RULE_SETS

LITE0 = load_calibration(None, "efficientnet-lite0")
FOOTPRINT = (0.0, 0.0, 100.0, 0.0, 100.0, 200.0, 0.0, 200.0)
#: Cosine and margin of a plush toy from another side: not alike enough to be accepted by its looks.
ALIKE = 0.32, 0.10
NOTHING = PairEvidence(12, 3, keypoints=200)
PAIR = Pair(uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), 1.0, 0)


def with_points(points: int, evidence: PairEvidence = NOTHING) -> PairEvidence:
    return replace(evidence, learned=LearnedEvidence(2 * points, points, 0.3, (1.0,) * 9, FOOTPRINT))


def scored(
    evidence: PairEvidence,
    cosine: float,
    margin: float | None,
    rules: Rules = Rules(),  # noqa: B008
) -> PairScore:
    return score_pair(PAIR, evidence, cosine, None, LITE0, rules, margin)


def test_points_that_agree_carry_a_pair_without_print() -> None:
    assert (scored(NOTHING, *ALIKE).score_pair or 0.0) < Rules().accept
    pair = scored(with_points(40), *ALIKE)
    (match,) = decide([pair], Rules(), LITE0)
    assert (match.status, match.reason.code) == ("accepted", "accepted.learned")
    assert "40 learned points agree" in match.reason.text()
    assert (pair.learned, pair.by_looks, pair.footprint) == (40, False, FOOTPRINT)


@pytest.mark.parametrize(
    ("evidence", "cosine", "margin"),
    [
        # As many points agree by chance.
        (with_points(LEARNED_POINTS - 1), *ALIKE),
        # A sibling: print agrees in part, and decides.
        (with_points(200, replace(NOTHING, inliers=LEARNED_INLIERS)), *ALIKE),
        # Another product is more alike.
        (with_points(200), 0.32, -0.01),
        (with_points(200), 0.32, 0.0),
        # A sibling carton in a catalogue of one, and the most of it among many: it hardly leads.
        (with_points(39), 0.263, None),
        (with_points(29), 0.271, 0.007),
        # The same shape, but not alike.
        (with_points(200), 0.10, 0.05),
        # No keypoints: for review, whatever it looks like.
        (with_points(200, PairEvidence(0, 0, keypoints=2)), *ALIKE),
    ],
)
def test_points_alone_are_not_enough(evidence: PairEvidence, cosine: float, margin: float | None) -> None:
    assert (scored(evidence, cosine, margin).score_pair or 0.0) < Rules().accept


def test_without_the_right_product_in_the_catalogue_a_plush_toy_of_another_make_is_not_accepted() -> None:
    assert (scored(with_points(10), 0.307, 0.105).score_pair or 0.0) < Rules().accept


def test_rules_and_calibrations_may_be_without_it() -> None:
    for rules in (replace(Rules(), learned_term=False), RULE_SETS["founding"]):
        assert scored(with_points(60), *ALIKE, rules).learned is None
    bare = replace(LITE0, learned=None)
    assert not in_doubt(NOTHING, ALIKE[0], None, bare, Rules(), ALIKE[1])
    assert in_doubt(NOTHING, ALIKE[0], None, LITE0, Rules(), ALIKE[1])


def test_a_pair_that_is_not_in_doubt_is_scored_as_if_it_was_never_asked_about() -> None:
    strong = replace(NOTHING, inliers=90, tentative=120, mutual=80, coverage=0.8)
    assert scored(with_points(60, strong), *ALIKE) == scored(strong, *ALIKE)


def test_more_points_never_lower_the_score() -> None:
    found = [scored(with_points(n), *ALIKE).score_pair or 0.0 for n in (0, 14, 15, 25, 60, 500)]
    assert found == sorted(found)


@pytest.mark.parametrize("name", ["classic", "efficientnet-lite0"])
def test_the_shipped_calibrations_know_it(name: str) -> None:
    shipped = load_calibration(None, name)
    assert shipped.learned is not None
    assert shipped.learned_by == "xfeat+mutual"
    assert from_json(to_json(shipped)) == shipped


def samples(count: int, seed: int = 0) -> list[Sample]:
    rng = np.random.default_rng(seed)
    out = []
    for n in range(count):
        true = n % 2 == 0
        points = int(rng.integers(25, 90) if true else rng.integers(0, 14))
        cosine = float(rng.normal(0.33 if true else 0.27, 0.02))
        out.append(
            Sample(
                with_points(points), cosine, None, true, f"p{n % 6}", frozenset(), float(rng.uniform(0, 0.1))
            )
        )
    return out


def test_the_fit_learns_what_points_are_worth() -> None:
    term = fit_learned(samples(80))
    assert term is not None
    many, few = (term(np.array([0.30, 0.05, np.log1p(n)])) for n in (60, 5))
    assert many > 0.9
    assert few < 0.1


def test_few_or_unasked_pairs_say_nothing() -> None:
    assert fit_learned(samples(12)) is None
    assert fit_learned([replace(s, evidence=NOTHING) for s in samples(80)]) is None
