from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.rules import Rules
from pvm_core.scoring.calibration import load_calibration
from pvm_core.scoring.margin import margins
from pvm_core.scoring.pair_score import score_terms, weighted
from pvm_core.verification import PairEvidence
from pvm_jobs.rules import RULE_SETS

CLASSIC = load_calibration(None, "classic")
TERM = st.none() | st.floats(0, 1)
NOTHING = PairEvidence(12, 0, keypoints=200)


@given(TERM, TERM, TERM, st.sampled_from(sorted(RULE_SETS)))
def test_score_is_the_weighted_sum_of_the_known_terms(
    deep: float | None, kp: float | None, edge: float | None, name: str
) -> None:
    rules = RULE_SETS[name]
    found = weighted(deep, kp, edge, rules)
    if deep is None and kp is None and edge is None:
        assert found is None
        return
    assert found is not None
    expected = rules.weight_deep * (deep or 0) + rules.weight_kp * (kp or 0) + rules.weight_edge * (edge or 0)
    assert found == pytest.approx(expected)
    assert 0 <= found <= 1


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_score_never_falls_as_a_term_rises_and_a_missing_one_never_helps(
    a: float, b: float, c: float, d: float
) -> None:
    low, high = sorted((c, d))
    for pick in (lambda x: (x, a, b), lambda x: (a, x, b), lambda x: (a, b, x)):
        first, second = weighted(*pick(low), Rules()), weighted(*pick(high), Rules())
        missing = weighted(*pick(None), Rules())
        assert first is not None
        assert second is not None
        assert missing is not None
        assert missing <= first <= second


def test_missing_evidence_stays_missing() -> None:
    found = score_terms(PairEvidence(0, 0, keypoints=2), None, None, CLASSIC, Rules())
    assert (found.sim_deep, found.sim_kp, found.sim_edge, found.score_pair) == (None, None, None, None)
    found = score_terms(NOTHING, None, 0.4, CLASSIC, Rules())
    assert found.sim_deep is not None
    assert found.sim_kp is not None
    assert found.sim_edge is None


def test_without_geometry_or_appearance_no_pair_reaches_accept() -> None:
    rules = Rules()
    for kp, edge in ((None, 1.0), (1.0, None)):
        found = weighted(1.0, kp, edge, rules)
        assert found is not None
        assert found < rules.accept


def test_larger_cosine_counts() -> None:
    one, two = (score_terms(NOTHING, a, b, CLASSIC, Rules()).sim_deep for a, b in ((0.2, 0.7), (0.7, 0.2)))
    assert one == two


def test_switched_off_edge_term_shares_its_weight() -> None:
    rules = replace(Rules(), edge_term=False)
    assert weighted(1.0, 1.0, None, rules) == 1.0
    assert weighted(1.0, 1.0, 0.0, rules) == 1.0


def test_uncalibrated_model_has_no_sim_deep() -> None:
    other = load_calibration(None, "clip-vit-b32")
    assert score_terms(NOTHING, 0.9, 0.9, other, Rules()).sim_deep is None


LITE0 = load_calibration(None, "efficientnet-lite0")
#: Cosine and margin of a plush toy that is surely the one.
SURE = 0.40, 0.15


def looks(
    cosine: float,
    margin: float | None,
    evidence: PairEvidence = NOTHING,
    rules: Rules = Rules(),  # noqa: B008
) -> float:
    return score_terms(evidence, cosine, None, LITE0, rules, margin).score_pair or 0.0


def test_a_pair_without_print_is_accepted_where_it_is_very_alike_and_leads() -> None:
    assert looks(*SURE) >= Rules().best_alone_min


@pytest.mark.parametrize(
    ("cosine", "margin", "evidence"),
    [
        (0.99, None, NOTHING),
        (0.99, 0.0, NOTHING),
        (0.99, -0.05, NOTHING),
        # As alike as another plush toy is where the right one is not in the catalogue.
        (0.322, 0.119, NOTHING),
        (0.322, 2.0, NOTHING),
        # Print decides where there is enough of it.
        (*SURE, replace(NOTHING, inliers=20)),
        # Nothing was compared.
        (*SURE, PairEvidence(0, 0, keypoints=2)),
    ],
)
def test_likeness_alone_is_not_enough(cosine: float, margin: float | None, evidence: PairEvidence) -> None:
    assert looks(cosine, margin, evidence) < Rules().accept


def test_rules_may_forbid_acceptance_by_looks() -> None:
    assert looks(*SURE, rules=replace(Rules(), look_term=False)) < Rules().review_min
    assert looks(*SURE, rules=RULE_SETS["founding"]) < RULE_SETS["founding"].accept


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_longer_lead_and_a_greater_cosine_never_lower_the_score(
    a: float, b: float, c: float, d: float
) -> None:
    (less, more), (short, far) = sorted((a, b)), sorted((c, d))
    assert looks(less, short) <= looks(more, short) + 1e-9
    assert looks(less, short) <= looks(less, far) + 1e-9


@given(st.lists(st.tuples(st.sampled_from("ABCD"), st.floats(-1, 1)), min_size=1, max_size=12))
def test_a_margin_is_the_lead_over_the_best_other_product(pairs: list[tuple[str, float]]) -> None:
    found = margins([p for p, _ in pairs], [s for _, s in pairs])
    for (product, similarity), margin in zip(pairs, found, strict=True):
        others = [s for p, s in pairs if p != product]
        assert margin == (pytest.approx(similarity - max(others)) if others else None)
