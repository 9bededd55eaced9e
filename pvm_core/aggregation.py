"""From pair scores to one decision a product and video."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pvm_core.calibration import Calibration
from pvm_core.rules import Rules

Status = Literal["accepted", "review", "rejected"]
#: How far below ACCEPT a capped score lies: visible with four decimals.
CAP_GAP = 0.0001


@dataclass(frozen=True)
class ScoredPair:
    """One frame and one product picture with their score.

    Attributes:
        ts: second of the frame; shot: the number of its shot in the video.
        sim_deep, sim_kp, sim_edge, score_pair: as `scoring.PairScore`.
        quad: the product's corners in the frame (8 numbers), None without a transform.
    """

    frame_id: uuid.UUID
    img_id: uuid.UUID
    product_id: uuid.UUID
    video_id: uuid.UUID
    ts: float
    shot: int
    sim_deep: float | None
    sim_kp: float | None
    sim_edge: float | None
    score_pair: float | None
    quad: tuple[float, ...] | None = None


@dataclass(frozen=True)
class MatchDecision:
    """What is said of one product and one video.

    Attributes:
        score: [0, 1]; status is accepted if and only if score >= the rules' accept.
        reason: why, in words.
        best: the pair shown as evidence; its `ts` is the match's second.
        consistency: independent shots with a pair >= accept; coverage: distinct product pictures in them.
    """

    product_id: uuid.UUID
    video_id: uuid.UUID
    score: float
    status: Status
    reason: str
    best: ScoredPair
    consistency: int
    coverage: int

    @property
    def ts(self) -> float:
        """Second of the best frame."""
        return self.best.ts


def decide(pairs: Iterable[ScoredPair], rules: Rules, calibration: Calibration) -> list[MatchDecision]:
    """One decision for each product and video that has a scored pair, best first."""
    groups: dict[tuple[uuid.UUID, uuid.UUID], list[ScoredPair]] = {}
    for pair in pairs:
        if pair.score_pair is not None:
            groups.setdefault((pair.product_id, pair.video_id), []).append(pair)
    decisions = [_decide_one(group, rules, calibration) for group in groups.values()]
    return sorted(decisions, key=lambda d: (-d.score, str(d.product_id), str(d.video_id)))


def _decide_one(group: list[ScoredPair], rules: Rules, calibration: Calibration) -> MatchDecision:
    best = max(group, key=lambda p: (p.score_pair or 0.0, -p.ts, str(p.img_id)))
    top = best.score_pair or 0.0
    strong = [p for p in group if (p.score_pair or 0.0) >= rules.accept]
    shots, images = len({p.shot for p in strong}), len({p.img_id for p in strong})
    score = top
    if shots >= rules.bonus_consistency_min:
        score += rules.bonus_consistency
    if images >= rules.bonus_coverage_min:
        score += rules.bonus_coverage
    score, reason = min(1.0, score), "best pair and consistency reach the rule"
    if not (top >= rules.best_alone_min or (top >= rules.best_min and shots >= rules.cons_min)):
        score, reason = min(score, rules.accept - CAP_GAP), "best pair below the rule"
    status: Status = (
        "accepted" if score >= rules.accept else "review" if score >= rules.review_min else "rejected"
    )
    return MatchDecision(best.product_id, best.video_id, score, status, reason, best, shots, images)
