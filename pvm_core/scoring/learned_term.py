"""What learned local features add to a score, and which pairs they are asked about.

They see what print does not: the same plush toy, shoe or vase from another side. They are blind to what tells
siblings apart: two cartons of one brand agree in most places. So they count where next to no print agrees
(`LEARNED_INLIERS`), for the product that leads its frame, and together with how alike both pictures are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from pvm_core.arrays import F64
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import (
    MIN_LOOK_PAIRS,
    Calibration,
    Logistic,
    Sample,
    deep_features,
    fit_alone,
    kp_features,
    look_weights,
)
from pvm_core.verification import PairEvidence

#: From so many points of print on, print decides. Sibling cartons that learned features take for each other
#: have 13 to 19 (most more), objects without print 0 to 8 but for a printed backpack (docs/accuracy.md).
LEARNED_INLIERS: Final = 12
#: Fewer agreeing points than this are chance: pairs of different objects have 4 in the median,
#: 12 at the 99th percentile and 15 at most.
LEARNED_POINTS: Final = 15
#: `sim_deep` from which a pair is asked about. Pairs that learned points rightly carry have 0.85 or more
#: where others compete with them and, all but two, 0.76 where none do; four in five frames of clips hold no
#: such pair (docs/accuracy.md).
LEARNED_DEEP: Final = 0.75
#: More say no more: shape does not become colour by agreeing in more places.
LEARNED_CAP: Final = 40


def learned_features(
    points: int, sim_rgb: float | None, sim_gray: float | None, margin: float | None
) -> F64 | None:
    """`LEARNED_FEATURES` of a pair: cosine and margin as for `sim_deep`, logarithm of agreeing points."""
    alike = deep_features(sim_rgb, sim_gray, margin)
    return None if alike is None else np.append(alike, np.log1p(min(points, LEARNED_CAP)))


def learned_score(
    evidence: PairEvidence,
    sim_rgb: float | None,
    sim_gray: float | None,
    calibration: Calibration,
    rules: Rules,
    margin: float | None,
) -> float | None:
    """P that a pair is right by its learned local features; None where they say nothing or are not asked."""
    learned = evidence.learned
    if learned is None or learned.inliers < LEARNED_POINTS:
        return None
    if not in_doubt(evidence, sim_rgb, sim_gray, calibration, rules, margin):
        return None
    values = learned_features(learned.inliers, sim_rgb, sim_gray, margin)
    return None if values is None or calibration.learned is None else calibration.learned(values)


def in_doubt(
    evidence: PairEvidence,
    sim_rgb: float | None,
    sim_gray: float | None,
    calibration: Calibration,
    rules: Rules,
    margin: float | None,
) -> bool:
    """Whether learned local features decide about a pair: hardly any print agrees, it is alike
    (`LEARNED_DEEP`), no other product of the frame is more so, and their best answer would carry it.

    It depends on the pair alone, its lead included: a pair that was asked about once and is in doubt no more
    is scored as if it had never been asked about.
    """
    if not rules.learned_term or calibration.learned is None or evidence.inliers >= LEARNED_INLIERS:
        return False
    alike = deep_features(sim_rgb, sim_gray, margin)
    if kp_features(evidence) is None or alike is None or (margin is not None and margin <= 0.0):
        return False
    if calibration.deep is None or calibration.deep(alike) < LEARNED_DEEP:
        return False
    best = learned_features(LEARNED_CAP, sim_rgb, sim_gray, margin)
    return best is not None and calibration.learned(best) >= rules.accept


def fit_learned(samples: Iterable[Sample]) -> Logistic | None:
    """P of a pair by cosine, margin and agreeing points; None: too few true or false pairs to say so.

    Learns from pairs that were asked about and lead their frame; weighted as `fit_look` weighs them.
    """
    known = [
        s for s in samples
        if s.evidence.learned is not None and s.evidence.inliers < LEARNED_INLIERS and (s.margin or 0.0) > 0.0
    ]  # fmt: skip
    label = np.array([s.label for s in known], bool)
    if min(label.sum(), (~label).sum()) < MIN_LOOK_PAIRS:
        return None
    rows = [
        learned_features(s.evidence.learned.inliers, s.sim_rgb, s.sim_gray, s.margin)
        for s in known
        if s.evidence.learned is not None
    ]
    return fit_alone(rows, label, look_weights(known))
