"""score_pair: three calibrated terms, weighted.

`score_pair = weight_deep sim_deep + weight_kp sim_kp + weight_edge sim_edge`. A missing term adds nothing
and its weight is not given to the others: what was not seen is not evidence, so a pair short of a term scores
lower, never higher. Only where the rules switch the edge term off do the other two share its weight.
"""

from __future__ import annotations

from pvm_core.rules import Rules
from pvm_core.scoring.calibration import Calibration, deep_features, edge_features, kp_features
from pvm_core.scoring.pair import Pair, PairScore, Terms
from pvm_core.verification import PairEvidence


def score_pair(
    pair: Pair,
    evidence: PairEvidence | None,
    sim_rgb: float | None,
    sim_gray: float | None,
    calibration: Calibration,
    rules: Rules,
) -> PairScore:
    """A pair with its terms and score; `evidence` None: the pictures could not be compared."""
    found = evidence or PairEvidence(0, 0)
    terms = score_terms(found, sim_rgb, sim_gray, calibration, rules)
    return PairScore(
        pair.frame_id, pair.img_id, pair.product_id, pair.video_id, pair.ts, pair.shot,
        terms.sim_deep, terms.sim_kp, terms.sim_edge, terms.score_pair, found.footprint,
    )  # fmt: skip


def score_terms(
    evidence: PairEvidence,
    sim_rgb: float | None,
    sim_gray: float | None,
    calibration: Calibration,
    rules: Rules,
) -> Terms:
    """Terms and score of one pair; `score_pair` is None where no term is known.

    Args:
        evidence: raw measurements of the pair.
        sim_rgb, sim_gray: cosines [-1, 1]; None where not computed. The larger counts.
        calibration: turns features into probabilities.
        rules: weights and flags.
    """
    cosine = deep_features(sim_rgb, sim_gray)
    deep = calibration.deep(cosine) if cosine is not None and calibration.deep else None
    geometry, edges = kp_features(evidence), edge_features(evidence) if rules.edge_term else None
    kp = None if geometry is None else calibration.kp(geometry)
    edge = None if edges is None else calibration.edge(edges)
    return Terms(deep, kp, edge, weighted(deep, kp, edge, rules))


def weighted(deep: float | None, kp: float | None, edge: float | None, rules: Rules) -> float | None:
    """The weighted sum of the known terms, [0, 1]; None where none is known."""
    parts = [(rules.weight_deep, deep), (rules.weight_kp, kp)]
    if rules.edge_term:
        parts.append((rules.weight_edge, edge))
    total = sum(w for w, _ in parts)
    known = [w * v for w, v in parts if v is not None]
    return min(1.0, sum(known) / total) if known and total > 0 else None
