"""score_pair: three calibrated terms, weighted."""

from __future__ import annotations

from dataclasses import dataclass

from pvm_core.calibration import Calibration, edge_features, kp_features
from pvm_core.rules import Rules
from pvm_core.verification import PairEvidence


@dataclass(frozen=True)
class PairScore:
    """The calibrated terms of a pair, each in [0, 1] or None where its evidence is missing."""

    sim_deep: float | None
    sim_kp: float | None
    sim_edge: float | None
    score_pair: float | None


def score_pair(
    evidence: PairEvidence,
    sim_rgb: float | None,
    sim_gray: float | None,
    calibration: Calibration,
    rules: Rules,
) -> PairScore:
    """Terms and score of one pair.

    Args:
        evidence: raw figures of the pair.
        sim_rgb, sim_gray: cosines [-1, 1]; None where not computed. The larger counts.
        calibration: turns figures into probabilities.
        rules: weights.
    """
    cosines = [c for c in (sim_rgb, sim_gray) if c is not None]
    deep = calibration.deep((max(cosines),)) if cosines and calibration.deep else None
    kp_values, edge_values = kp_features(evidence), edge_features(evidence)
    kp = None if kp_values is None else calibration.kp(kp_values)
    edge = None if edge_values is None else calibration.edge(edge_values)
    parts = ((rules.weight_deep, deep), (rules.weight_kp, kp), (rules.weight_edge, edge))
    known = [w * v for w, v in parts if v is not None]
    return PairScore(deep, kp, edge, min(1.0, sum(known)) if known else None)
