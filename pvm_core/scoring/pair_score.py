"""score_pair: three calibrated terms, weighted.

`score_pair = weight_deep sim_deep + weight_kp sim_kp + weight_edge sim_edge`. A missing term adds nothing
and its weight is not given to the others: what was not seen is not evidence, so a pair short of a term scores
lower, never higher. Only where the rules switch the edge term off do the other two share its weight.

A plush toy has next to no print. Where too few points agree for print to decide, a pair may be right by its
looks: its score is then what cosine and margin alone promise (`Calibration.look`), where that is more. It
needs another product to lead: in a catalogue of one nothing is accepted by its looks. Where the second
verifier was asked (`pvm_core.scoring.learned_term`), its answer may carry the pair likewise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pvm_core.rules import Rules
from pvm_core.scoring.calibration import (
    LOOK_INLIERS,
    Calibration,
    deep_features,
    edge_features,
    kp_features,
)
from pvm_core.scoring.learned_term import learned_score
from pvm_core.scoring.pair import Pair, PairScore, Terms, weighted
from pvm_core.scoring.word_term import words_of
from pvm_core.shared_material import discounted
from pvm_core.verification import PairEvidence

#: Chroma, Lab units, by which a region contradicts more than the rest of the product does, from which it is
#: another product's. Of generated siblings of another colour that would else be accepted 53 of 56 lie beyond
#: it, and of true pairs five of 199 of `dvd_covers` (16.0 to 30.8), none of `dev`, `grocery` and `objects`.
RECOLOURED: Final = 16.0
#: Size, in units of the patch's longest side squared, from which another print in one piece is another
#: product's: 12 of 30 generated siblings of another word have it and 12 of 89 that were not in view, one of
#: 199 true pairs of `dvd_covers` and none of 58 generated ones.
REPRINTED: Final = 0.005
_NO_WORDS: Final[Mapping[str, float]] = MappingProxyType({})


def score_pair(
    pair: Pair,
    evidence: PairEvidence | None,
    sim_rgb: float | None,
    sim_gray: float | None,
    calibration: Calibration,
    rules: Rules,
    margin: float | None = None,
    share: float | None = None,
    rarity: Mapping[str, float] = _NO_WORDS,
) -> PairScore:
    """A pair with its terms and score; `evidence` None: the pictures could not be compared.

    Args:
        share: of the agreeing points, [0, 1], on material of the picture that is not the product; None where
            it shows none. Where too few are left, nothing places the pair. A picture that shows such
            material is as alike as that is, and learned points lie on it too: it is accepted by neither.
        rarity: of words in the catalogue (`verification.rarities`).
    """
    found = evidence or PairEvidence(0, 0)
    left = found if share is None else discounted(found, share, rules.min_inliers)
    if share is not None:
        rules = replace(rules, look_term=False, learned_term=False)
    found = left or PairEvidence(found.tentative, 0, keypoints=found.keypoints)
    terms = score_terms(found, sim_rgb, sim_gray, calibration, rules, margin)
    summed = weighted(terms.sim_deep, terms.sim_kp, terms.sim_edge, rules)
    by_looks, footprint, points = terms.score_pair != summed, found.footprint, None
    if (learned := _by_learned(found, terms, sim_rgb, sim_gray, calibration, rules, margin)) is not None:
        terms = replace(terms, score_pair=learned)
        # Learned points place the pair: it can contest others, and be contested, as print can.
        by_looks, footprint, points = False, _outline(found), _points(found)
    return PairScore(
        pair.frame_id, pair.img_id, pair.product_id, pair.video_id, pair.ts, pair.shot,
        terms.sim_deep, terms.sim_kp, terms.sim_edge, terms.score_pair, footprint, by_looks, points,
        bool(found.mirrored), left is None, _recoloured(found), _reprinted(found),
        words_of(found, rules, rarity),
    )  # fmt: skip


def _recoloured(evidence: PairEvidence) -> float | None:
    return evidence.recolour if (evidence.recolour or 0.0) > RECOLOURED else None


def _reprinted(evidence: PairEvidence) -> float | None:
    return evidence.reprint if (evidence.reprint or 0.0) >= REPRINTED else None


def _by_learned(
    evidence: PairEvidence,
    terms: Terms,
    sim_rgb: float | None,
    sim_gray: float | None,
    calibration: Calibration,
    rules: Rules,
    margin: float | None,
) -> float | None:
    """What learned local features promise, where it is more than everything else does; else None."""
    promised = learned_score(evidence, sim_rgb, sim_gray, calibration, rules, margin)
    return promised if promised is not None and promised > (terms.score_pair or 0.0) else None


def _outline(evidence: PairEvidence) -> tuple[float, ...] | None:
    return evidence.learned.footprint if evidence.learned is not None else None


def _points(evidence: PairEvidence) -> int | None:
    return evidence.learned.inliers if evidence.learned is not None else None


def score_terms(
    evidence: PairEvidence,
    sim_rgb: float | None,
    sim_gray: float | None,
    calibration: Calibration,
    rules: Rules,
    margin: float | None = None,
) -> Terms:
    """Terms and score of one pair; `score_pair` is None where no term is known.

    Args:
        evidence: raw measurements of the pair.
        sim_rgb, sim_gray: cosines [-1, 1]; None where not computed. The larger counts.
        calibration: turns features into probabilities.
        rules: weights and flags.
        margin: how far the larger cosine leads the most alike other product of the frame; None without one.
    """
    cosine = deep_features(sim_rgb, sim_gray, margin)
    deep = calibration.deep(cosine) if cosine is not None and calibration.deep else None
    geometry, edges = kp_features(evidence), edge_features(evidence) if rules.edge_term else None
    kp = None if geometry is None else calibration.kp(geometry)
    edge = None if edges is None else calibration.edge(edges)
    total = weighted(deep, kp, edge, rules)
    # Without keypoints a match is for review, whatever it looks like.
    leads = margin is not None and margin > 0.0 and evidence.inliers < LOOK_INLIERS and kp is not None
    if rules.look_term and leads and calibration.look is not None and cosine is not None:
        total = max(total or 0.0, calibration.look(cosine))
    return Terms(deep, kp, edge, total)


__all__ = ["score_pair", "score_terms", "weighted"]
