"""From pair scores to one decision a product and video.

`best` is the best pair that no other product contests; `consistency` counts the independent shots (not
frames) with an uncontested pair >= accept, `coverage` the distinct product pictures in such pairs. The score
is best plus bonuses; where a rule is not met it is capped just below accept. So status is `accepted` exactly
where score >= accept.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pvm_core.rules import Rules
from pvm_core.scoring.calibration import Calibration

#: A lead of 0.98 over 0.93 is a lead of 0.05.
_ROUNDING: Final = 1e-9

Status = Literal["accepted", "review", "rejected"]
Point = tuple[float, float]
#: How far below accept a capped score lies: seen with four decimals.
CAP_GAP: Final = 0.0001
#: Two products compete for a place where their outlines share this much of the smaller one.
SAME_PLACE: Final = 0.5
#: A pair this far below `review_min` is no rival: noise must not contest a match.
_RIVAL_SLACK: Final = 0.1


@dataclass(frozen=True)
class ScoredPair:
    """One frame and one product picture with their score.

    Attributes:
        ts: second of the frame; shot: the number of its shot in the video.
        sim_deep, sim_kp, sim_edge, score_pair: as `scoring.PairScore`.
        place: outline of what the pair explains in the frame (`PairEvidence.place`: x0 y0 x1 y1 ..), None
            without a transform.
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
    place: tuple[float, ...] | None = None


@dataclass(frozen=True)
class MatchDecision:
    """What is said of one product and one video.

    Attributes:
        score: [0, 1]; status is accepted if and only if score >= the rules' accept.
        reason: why, in words.
        best: the pair shown as evidence; its `ts` is the match's second.
        consistency: independent shots with an uncontested pair >= accept.
        coverage: distinct product pictures in such pairs.
        rival: the product that contests the best pair, if one does.
    """

    product_id: uuid.UUID
    video_id: uuid.UUID
    score: float
    status: Status
    reason: str
    best: ScoredPair
    consistency: int
    coverage: int
    rival: uuid.UUID | None = None

    @property
    def ts(self) -> float:
        """Second of the best frame."""
        return self.best.ts


def decide(pairs: Iterable[ScoredPair], rules: Rules, calibration: Calibration) -> list[MatchDecision]:
    """One decision for each product and video that has a scored pair, best first.

    The order of `pairs` does not matter. Only the pairs of one video are compared with each other.
    """
    videos: dict[uuid.UUID, list[ScoredPair]] = {}
    for pair in pairs:
        if pair.score_pair is not None:
            videos.setdefault(pair.video_id, []).append(pair)
    decisions: list[MatchDecision] = []
    for members in videos.values():
        rivals = _contested(members, rules)
        products: dict[uuid.UUID, list[ScoredPair]] = {}
        for pair in members:
            products.setdefault(pair.product_id, []).append(pair)
        foremost = max(p.sim_deep or 0.0 for p in members)
        decisions += [_decide_one(group, rivals, foremost, rules, calibration) for group in products.values()]
    return sorted(decisions, key=lambda d: (-d.score, str(d.product_id), str(d.video_id)))


def _score(pair: ScoredPair) -> float:
    return pair.score_pair or 0.0


def _pair_key(pair: ScoredPair) -> tuple[uuid.UUID, uuid.UUID]:
    return pair.frame_id, pair.img_id


def _contested(pairs: Sequence[ScoredPair], rules: Rules) -> dict[tuple[uuid.UUID, uuid.UUID], ScoredPair]:
    """Pairs of one video that do not lead a rival by the margin, each with its strongest rival.

    A rival is another product at the same place of the same frame. The two are compared by their best pair of
    the shot at that place, so that one blurred frame cannot give the shot to the wrong sibling. Where two
    products score exactly alike they are the same picture sold twice, and neither contests the other.
    """
    floor = rules.review_min - _RIVAL_SLACK
    placed = [p for p in pairs if p.place is not None and _score(p) >= floor]
    frames: dict[uuid.UUID, list[ScoredPair]] = {}
    for pair in placed:
        frames.setdefault(pair.frame_id, []).append(pair)
    meets = [
        (a, b)
        for members in frames.values()
        for a in members
        for b in members
        if a.product_id != b.product_id and overlap_coefficient(a.place or (), b.place or ()) >= SAME_PLACE
    ]
    best: dict[tuple[int, uuid.UUID, uuid.UUID], float] = {}
    for a, b in meets:
        key = (a.shot, a.product_id, b.product_id)
        best[key] = max(best.get(key, 0.0), _score(a))
    rivals: dict[tuple[uuid.UUID, uuid.UUID], ScoredPair] = {}
    for a, b in meets:
        own = best[a.shot, a.product_id, b.product_id]
        other = best[a.shot, b.product_id, a.product_id]
        if own == other or own - other >= rules.sibling_margin - _ROUNDING:
            continue
        held = rivals.get(_pair_key(a))
        if held is None or (_score(b), str(b.img_id)) > (_score(held), str(held.img_id)):
            rivals[_pair_key(a)] = b
    return rivals


def _decide_one(
    group: list[ScoredPair],
    rivals: dict[tuple[uuid.UUID, uuid.UUID], ScoredPair],
    foremost: float,
    rules: Rules,
    calibration: Calibration,
) -> MatchDecision:
    # `foremost`: the largest sim_deep of the video; of mere look-alikes only the first is worth a look.
    best = max(group, key=lambda p: (_capped(p, rivals, rules), _score(p), -p.ts, str(p.img_id)))
    strong = [p for p in group if _score(p) >= rules.accept and _pair_key(p) not in rivals]
    shots, images = len({p.shot for p in strong}), len({p.img_id for p in strong})
    score = _capped(best, rivals, rules)
    if shots >= rules.bonus_consistency_min:
        score += rules.bonus_consistency
    if images >= rules.bonus_coverage_min:
        score += rules.bonus_coverage
    score = min(1.0, score)
    rival = rivals.get(_pair_key(best))
    fault = _fault(best, rival, shots, rules, calibration)
    if fault:
        score = min(score, rules.accept - CAP_GAP)
    alike = max(p.sim_deep or 0.0 for p in group)
    status: Status = "rejected"
    if score >= rules.accept:
        status = "accepted"
    elif score >= rules.review_min:
        status = "review"
    elif alike >= max(foremost, rules.review_deep_min):
        status, fault = "review", f"looks alike ({alike:.2f}) without a geometric proof: {fault}"
    return MatchDecision(
        product_id=best.product_id,
        video_id=best.video_id,
        score=score,
        status=status,
        reason=fault or _praise(best, shots, rules),
        best=best,
        consistency=shots,
        coverage=images,
        rival=rival.product_id if rival else None,
    )


def _capped(pair: ScoredPair, rivals: dict[tuple[uuid.UUID, uuid.UUID], ScoredPair], rules: Rules) -> float:
    return min(_score(pair), max(0.0, rules.accept - CAP_GAP)) if _pair_key(pair) in rivals else _score(pair)


def _fault(
    best: ScoredPair, rival: ScoredPair | None, shots: int, rules: Rules, calibration: Calibration
) -> str:
    """Why the match cannot be accepted, in words; "" where nothing speaks against it."""
    top = _score(best)
    if best.sim_kp is None:
        return "too few keypoints to compare the geometry"
    if rival is not None:
        return (
            f"another product fits the same place with {_score(rival):.2f} against {top:.2f}, "
            f"a lead of {rules.sibling_margin:.2f} is asked for"
        )
    if not calibration.calibrated:
        return f"the model {calibration.embedder} is not calibrated"
    if best.sim_deep is None or best.sim_deep < rules.sim_deep_min:
        return f"similarity {_words(best.sim_deep)} is under {rules.sim_deep_min:.2f}"
    if best.sim_kp < rules.inliers_min:
        return f"geometry {best.sim_kp:.2f} is under {rules.inliers_min:.2f}"
    if top >= rules.best_alone_min or (top >= rules.best_min and shots >= rules.cons_min):
        return ""
    if top >= rules.best_min:
        return (
            f"best pair {top:.2f} is under {rules.best_alone_min:.2f} and only {shots} of "
            f"{rules.cons_min} shots agree"
        )
    return f"best pair {top:.2f} is under {rules.best_min:.2f}"


def _words(value: float | None) -> str:
    return "(none)" if value is None else f"{value:.2f}"


def _praise(best: ScoredPair, shots: int, rules: Rules) -> str:
    times = "one shot" if shots == 1 else f"{shots} shots"
    if _score(best) >= rules.best_alone_min:
        return f"best pair {_score(best):.2f}, seen in {times}"
    return f"best pair {_score(best):.2f}, and {times} agree"


def overlap_coefficient(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Area that two convex outlines share over that of the smaller, [0, 1]; 0 where one has no area."""
    a, b = _ring(first), _ring(second)
    smaller = min(_area(a), _area(b))
    return min(1.0, _area(_clip(a, b)) / smaller) if smaller > 0 else 0.0


def _ring(outline: tuple[float, ...]) -> list[Point]:
    ring = list(zip(outline[::2], outline[1::2], strict=True))
    return ring if _signed(ring) >= 0 else ring[::-1]


def _signed(ring: Sequence[Point]) -> float:
    following = [*ring[1:], *ring[:1]]
    return sum(x * v - u * y for (x, y), (u, v) in zip(ring, following, strict=True)) / 2


def _area(ring: Sequence[Point]) -> float:
    return abs(_signed(ring))


def _clip(subject: list[Point], window: list[Point]) -> list[Point]:
    """Sutherland & Hodgman (1974): what of a convex outline lies inside another."""
    for (ax, ay), (bx, by) in zip(window, [*window[1:], *window[:1]], strict=True):
        kept: list[Point] = []
        for (px, py), (qx, qy) in zip(subject, [*subject[1:], *subject[:1]], strict=True):
            p = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
            q = (bx - ax) * (qy - ay) - (by - ay) * (qx - ax)
            if p >= 0:
                kept.append((px, py))
            if (p > 0 > q) or (p < 0 < q):
                t = p / (p - q)
                kept.append((px + t * (qx - px), py + t * (qy - py)))
        subject = kept
    return subject
