from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.errors import InputError
from pvm_core.images import encode_jpeg
from pvm_core.proportions import lower_bound
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import Sample, fit_look, load_calibration
from pvm_core.verification import PairEvidence
from pvm_evaluation.fitting import cross_validate, fit, to_samples
from pvm_evaluation.folders import PhotoSet, open_folder
from pvm_evaluation.measure import RawPair, Setting, measure
from pvm_evaluation.metrics import (
    auc,
    decide_pairs,
    precision_of,
    rank_terms,
    recall_at_fpr,
    reliability,
    retrieval_recall,
    score_pairs,
    true_count,
)
from pvm_resources.process_pool import WorkPool
from tests.pvm_core.prints import TILTED, label, place
from tests.pvm_core.test_calibration import evidence

RULES = Rules()
CLASSIC = load_calibration(None, "classic")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    (folder / "reference").mkdir()
    (folder / "scene").mkdir()
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["reference", "scene", "label"])
        for seed in range(3):
            product = label(seed)
            (folder / "reference" / f"p{seed}.jpg").write_bytes(encode_jpeg(product, 92))
            (folder / "scene" / f"s{seed}.jpg").write_bytes(encode_jpeg(place(product, TILTED, seed)[0], 92))
            rows.writerow([f"reference/p{seed}.jpg", f"scene/s{seed}.jpg", 1])
    return folder


def test_photo_set_is_measured_scored_and_decided(photos: Path) -> None:
    folder = open_folder(photos)
    assert isinstance(folder, PhotoSet)
    with WorkPool(0) as pool:
        pairs = measure(folder, Setting(), pool)
    assert len(pairs) == 9
    assert true_count(pairs) == 3
    assert retrieval_recall(pairs)[5] == 1.0
    scored = score_pairs(pairs, CLASSIC, RULES)
    (kp,) = (r for r in rank_terms(scored) if r.term == "sim_kp")
    assert (kp.auc, kp.true, kp.false) == (1.0, 3, 6)
    found = precision_of(decide_pairs(scored, RULES, CLASSIC), 3, RULES.accept)
    assert found.wrong == 0
    assert found.recall == 1.0


def raw_pairs(products: int = 12, seed: int = 0) -> list[RawPair]:
    """Pairs of scenes that show one product each, a look-alike beside every true pair."""
    rng = np.random.default_rng(seed)
    out = []
    for scene in range(3 * products):
        for product in range(products):
            true, alike = product == scene % products, product == (scene + 1) % products
            strength = float(np.clip(rng.normal(0.6 if true else 0.45 if alike else 0.03, 0.1), 0, 1))
            look = float(np.clip(rng.normal(0.8 if true else 0.2, 0.1), 0, 1))
            found = evidence(strength, look, true or alike)
            out.append(
                RawPair(
                    source="set", product=f"p{product}", image=f"p{product}",
                    video=f"s{scene}", frame=f"s{scene}",
                    ts=0.0, shot=0, label=true, sim_gray=None,
                    sim_rgb=float(rng.normal(0.6 if true else 0.3, 0.1)),
                    rank=1 if true else 2, evidence=found,
                )
            )  # fmt: skip
    return out


def test_left_out_products_are_judged_by_a_fit_that_never_saw_them() -> None:
    pairs = raw_pairs()
    held_out = cross_validate(pairs, to_samples(pairs), "classic", RULES, folds=4)
    assert len(held_out) == len(pairs)
    poisoned = [replace(s, label=not s.label) if s.product == "p3" else s for s in to_samples(pairs)]
    again = cross_validate(pairs, poisoned, "classic", RULES, folds=4)
    before = {(p.product, p.video): s for p, s in held_out if p.product == "p3"}
    after = {(p.product, p.video): s for p, s in again if p.product == "p3"}
    assert before == after


def test_frames_enter_a_fit_with_their_product_and_without_it() -> None:
    (best, second, third) = (
        replace(p, sim_rgb=cosine, margin=margin, label=true, video="s", frame="s", product=name)
        for p, cosine, margin, true, name in zip(
            raw_pairs(3)[:3], (0.8, 0.5, 0.4), (0.3, -0.3, -0.4), (True, False, False), "ABC", strict=True
        )
    )
    samples = to_samples([best, second, third])
    told = [(s.product[-1], s.label, s.margin) for s in samples]
    assert told == [
        ("A", True, 0.3), ("B", False, -0.3), ("C", False, -0.4),
        # A is not in the catalogue: B leads C, and is wrong.
        ("B", False, pytest.approx(0.1)),
    ]  # fmt: skip


def test_a_measured_pair_leads_or_follows_the_most_alike_other_product(photos: Path) -> None:
    folder = open_folder(photos)
    assert isinstance(folder, PhotoSet)
    with WorkPool(0) as pool:
        pairs = measure(folder, Setting(), pool)
    for pair in pairs:
        others = [p.similarity for p in pairs if p.frame == pair.frame and p.product != pair.product]
        assert pair.margin == pytest.approx(pair.similarity - max(others), abs=1e-6)


def test_likeness_alone_is_fitted_where_there_are_pairs_without_print() -> None:
    rng = np.random.default_rng(3)
    bare = PairEvidence(12, 0, keypoints=300)

    def drawn(true: bool, n: int) -> Sample:
        cosine, margin = rng.normal(0.5 if true else 0.3, 0.03), rng.uniform(0.02, 0.2)
        return Sample(bare, float(cosine), None, true, f"p{n % 7}", frozenset(), float(margin))

    fitted = fit_look([drawn(n % 2 == 0, n) for n in range(200)])
    assert fitted is not None
    assert min(fitted.weights) >= 0
    assert fitted(np.array([0.55, 0.1])) > 0.9
    assert fitted(np.array([0.30, 0.1])) < 0.1
    # Followers, and print in plenty, say nothing of likeness alone.
    assert fit_look([replace(drawn(True, n), margin=-0.1) for n in range(50)]) is None
    placed = replace(bare, inliers=40)
    assert fit_look([replace(drawn(n % 2 == 0, n), evidence=placed) for n in range(50)]) is None


def test_fit_and_its_held_out_scores() -> None:
    pairs = raw_pairs()
    fitted = fit(pairs, "classic", "own", RULES, folds=3)
    decided = decide_pairs(fitted.held_out, RULES, fitted.calibration)
    found = precision_of(decided, true_count(pairs), RULES.accept)
    assert found.precision > 0.95
    assert found.recall > 0.8
    bins = reliability(decided)
    assert sum(b.count for b in bins) == len(decided)


@pytest.mark.parametrize(
    ("hits", "n", "bound"), [(59, 59, 0.9505), (122, 124, 0.950), (0, 5, 0.0), (2_990, 3_000, 0.9943)]
)
def test_clopper_pearson_bound(hits: int, n: int, bound: float) -> None:
    assert lower_bound(hits, n) == pytest.approx(bound, abs=1e-3)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=30))
def test_auc_is_the_share_of_ordered_pairs(rows: list[tuple[bool, int]]) -> None:
    true, false = [v for y, v in rows if y], [v for y, v in rows if not y]
    if not true or not false:
        return
    wins = sum((a > b) + 0.5 * (a == b) for a in true for b in false)
    assert auc(*zip(*rows, strict=True)) == pytest.approx(wins / (len(true) * len(false)))


def test_recall_at_false_positive_rate() -> None:
    assert recall_at_fpr([True, True, False, False], [3.0, 1.0, 2.0, 0.0]) == 0.5
    assert np.isnan(recall_at_fpr([True], [1.0]))


def test_folder_that_is_neither_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        open_folder(tmp_path)
    assert caught.value.code == "evaluate.folder"
    (tmp_path / "pairs.csv").write_text("reference,scene\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        open_folder(tmp_path)
    assert caught.value.code == "evaluate.empty"
    (tmp_path / "pairs.csv").write_text("a,b\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        open_folder(tmp_path)
    assert caught.value.code == "evaluate.columns"


def test_shipped_calibration_on_real_photos(shared: Path) -> None:
    folder = open_folder(shared / "photos" / "dvd_covers")
    assert isinstance(folder, PhotoSet)
    some = replace(folder, scenes=folder.scenes[::50], products=folder.products[:50:5] + folder.products[:3])
    with WorkPool(0) as pool:
        pairs = measure(some, Setting(), pool)
    decided = decide_pairs(score_pairs(pairs, CLASSIC, RULES), RULES, CLASSIC)
    assert all(d.label for d in decided if d.decision.status == "accepted")
