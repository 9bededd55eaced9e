from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pvm_core.errors import InputError, ModelError
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import (
    EDGE_FEATURES,
    HARD_NEGATIVE_SHARE,
    KP_FEATURES,
    Calibration,
    Sample,
    balanced_weights,
    calibrated_embedders,
    edge_features,
    fit_calibration,
    from_json,
    kp_features,
    load_calibration,
    to_json,
)
from pvm_core.scoring.pair_score import score_terms
from pvm_core.verification import PairEvidence

WEIGHTS = (0.20, 0.35, 0.45)


def evidence(strength: float, alike: float = 1.0, warped: bool = True) -> PairEvidence:
    """Evidence of a pair: `strength` of its geometry and `alike`ness of its print, both 0 to 1."""
    n = int(100 * strength)
    plain = PairEvidence(
        n + 20,
        n,
        keypoints=300,
        votes=n,
        mutual=n,
        coverage=strength,
        confirmed=2 * n,
        confirmed_share=strength,
        confirmed_cover=strength,
    )
    if not warped:
        return plain
    return replace(
        plain,
        model="homography",
        transform=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        visible=1.0,
        print_mid=alike,
        print_low=alike - 0.2,
        print_core=alike,
        conflict=1 - alike,
        edge_corr=alike,
        flow=0.05 * (1 - alike),
        flow_agree=alike,
        colour_corr=alike,
        lab_corr=alike,
        colour_gap=30 * (1 - alike),
        colour_worst=40 * (1 - alike),
        sharpness=1.0,
    )


def samples(seed: int = 0, n: int = 120) -> list[Sample]:
    rng = np.random.default_rng(seed)
    out = []
    for i in range(n):
        kind = i % 3  # true, look-alike, stranger
        label = kind == 0
        strength = float(np.clip(rng.normal((0.6, 0.45, 0.05)[kind], 0.15), 0, 1))
        alike = float(np.clip(rng.normal(0.75 if label else 0.2, 0.15), 0, 1))
        cosine = float(np.clip(rng.normal(0.7 if label else 0.4, 0.15), -1, 1))
        out.append(
            Sample(
                evidence(strength, alike, kind < 2),
                cosine,
                None,
                label,
                f"p{i % 10}",
                frozenset({f"p{i % 7}"}),
            )
        )
    return out


@pytest.fixture(scope="module")
def fitted() -> Calibration:
    return fit_calibration(samples(), "classic", "test", WEIGHTS)


def test_fit_tells_true_from_false(fitted: Calibration) -> None:
    rules = Rules()
    for sample in samples(1):
        found = score_terms(sample.evidence, sample.sim_rgb, None, fitted, rules)
        assert found.score_pair is not None
    true = score_terms(evidence(0.7, 0.9), 0.8, None, fitted, rules)
    alike = score_terms(evidence(0.6, 0.1), 0.8, None, fitted, rules)
    assert true.score_pair is not None
    assert alike.score_pair is not None
    assert true.score_pair > 0.8 > 0.6 > alike.score_pair


def test_more_evidence_never_lowers_a_term(fitted: Calibration) -> None:
    for term, features in ((fitted.kp, KP_FEATURES), (fitted.edge, EDGE_FEATURES)):
        assert all(w * f.sign >= 0 for w, f in zip(term.weights, features.values(), strict=True))


def test_sum_is_a_probability(fitted: Calibration) -> None:
    held_out = samples(2, 600)
    scores = np.array(
        [score_terms(s.evidence, s.sim_rgb, None, fitted, Rules()).score_pair for s in held_out]
    )
    label = np.array([s.label for s in held_out])
    assert np.mean((scores - label) ** 2) < 0.08
    assert label[scores > 0.8].mean() > 0.9
    assert label[scores < 0.2].mean() < 0.1


def test_fit_is_deterministic_and_blind_to_order(fitted: Calibration) -> None:
    again = fit_calibration(samples(), "classic", "test", WEIGHTS)
    turned = fit_calibration(samples()[::-1], "classic", "test", WEIGHTS)
    assert again == fitted
    assert np.allclose(turned.edge.weights, fitted.edge.weights)


def test_json_gives_an_equal_calibration_back(fitted: Calibration) -> None:
    assert from_json(to_json(fitted)) == fitted


def test_weights_are_balanced_whatever_the_numbers() -> None:
    label = np.array([True] * 3 + [False] * 97)
    alike = np.array([False] * 3 + [True] * 2 + [False] * 95)
    weights = balanced_weights(label, alike)
    assert weights.sum() == pytest.approx(1)
    assert weights[:3].sum() == pytest.approx(0.5)
    assert weights[3:5].sum() == pytest.approx(HARD_NEGATIVE_SHARE)


def test_missing_evidence_has_no_features() -> None:
    assert kp_features(PairEvidence(0, 0, keypoints=3)) is None
    assert edge_features(PairEvidence(30, 0, keypoints=300)) is None
    assert kp_features(PairEvidence(30, 0, keypoints=300)) is not None


@pytest.mark.parametrize("label", [True, False])
def test_one_sided_samples_are_refused(label: bool) -> None:
    with pytest.raises(InputError) as caught:
        fit_calibration([replace(s, label=label) for s in samples()], "classic", "x", WEIGHTS)
    assert caught.value.code == "calibration.samples"


def test_shipped_calibration_is_loaded_for_its_embedder_alone() -> None:
    assert "classic" in calibrated_embedders()
    assert load_calibration(None, "classic").calibrated
    other = load_calibration(None, "clip-vit-b32")
    assert not other.calibrated
    assert other.kp == load_calibration(None, "classic").kp


def test_own_file_is_loaded(tmp_path: Path, fitted: Calibration) -> None:
    file = tmp_path / "own.json"
    file.write_text(to_json(fitted), encoding="utf-8")
    assert load_calibration(file, "classic") == fitted
    assert load_calibration(file, "dinov2-vits14").deep is None


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.update(format=99),
        lambda b: b.pop("terms"),
        lambda b: b["terms"]["kp"]["weights"].pop("coverage"),
        lambda b: b["terms"]["edge"].update(bias="much"),
        lambda b: b["terms"]["edge"].update(bias=float("nan")),
        lambda b: b["terms"].update(kp=None),
    ],
)
def test_damaged_file_is_named(fitted: Calibration, change: object) -> None:
    body = json.loads(to_json(fitted))
    change(body)  # type: ignore[operator]
    with pytest.raises(ModelError) as caught:
        from_json(json.dumps(body), "own.json")
    assert caught.value.code == "calibration.corrupt"
    assert "own.json" in str(caught.value)


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_calibration(tmp_path / "none.json", "classic")
    assert caught.value.code == "calibration.missing"
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        load_calibration(tmp_path / "bad.json", "classic")
    assert caught.value.code == "calibration.corrupt"
