"""From pair scores to one decision a product and video.

`best` is the best pair that no other product contests; `consistency` counts the independent shots (not
frames) with an uncontested pair >= accept, `coverage` the distinct product pictures in such pairs. The score
is best plus bonuses; where a rule is not met it is capped just below accept. So status is `accepted` exactly
where score >= accept.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, get_args

from pvm_core.rules import Rules
from pvm_core.scoring.pair import PairScore
from pvm_core.scoring.reason import Reason
from pvm_core.scoring.word_term import is_told

if TYPE_CHECKING:
    from pvm_core.scoring.calibration import Calibration

#: A lead of 0.98 over 0.93 is a lead of 0.05.
_ROUNDING: Final = 1e-9

Status = Literal["accepted", "review", "rejected"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
Point = tuple[float, float]
#: A pair by its frame and picture.
_Key = tuple[uuid.UUID | None, uuid.UUID | None]
#: How far below accept a capped score lies: seen with four decimals.
CAP_GAP: Final = 0.0001
#: Two products compete for a place where their outlines share this much of the smaller one.
SAME_PLACE: Final = 0.5
#: A pair this far below `review_min` is no rival: noise must not contest a match.
_RIVAL_SLACK: Final = 0.1


@dataclass(frozen=True)
class MatchDecision:
    """The decision on one product and one video.

    Attributes:
        best: the pair shown as evidence; its `ts` is the match's second.
        score: [0, 1]; status is accepted if and only if score >= the rules' accept.
        reason: why it has this status; where a rival contests the best pair, its product is among the values.
        consistency: independent shots with an uncontested pair >= accept.
        coverage: distinct product pictures in such pairs.
        listing_group: the first listing of the product's group; None where it is listed once.
    """

    best: PairScore
    score: float
    status: Status
    reason: Reason
    consistency: int
    coverage: int
    listing_group: uuid.UUID | None = field(default=None, kw_only=True)

    @property
    def product_id(self) -> uuid.UUID:
        """The product."""
        return self.best.product_id

    @property
    def video_id(self) -> uuid.UUID:
        """The video."""
        return self.best.video_id

    @property
    def ts(self) -> float:
        """Second of the best frame."""
        return self.best.ts

    @property
    def mirrored(self) -> bool:
        """Whether the best frame shows the product left for right."""
        return self.best.mirrored


#: Product -> the first listing of its group, for products that are listed more than once.
Groups = Mapping[uuid.UUID, uuid.UUID]
_ALONE: Final[Groups] = MappingProxyType({})


def decide(
    pairs: Iterable[PairScore], rules: Rules, calibration: Calibration, groups: Groups = _ALONE
) -> list[MatchDecision]:
    """One decision for each product and video that has a scored pair, best first.

    The order of `pairs` does not matter. Only the pairs of one video are compared with each other. Listings
    of one group do not contest each other: their pairs are decided on together, and each listing is given the
    group's decision and evidence; where it is accepted, also a listing without a pair of its own.
    """
    videos: dict[uuid.UUID, list[PairScore]] = {}
    for pair in pairs:
        if pair.score_pair is not None:
            videos.setdefault(pair.video_id, []).append(pair)
    decisions: list[MatchDecision] = []
    for unread in videos.values():
        members = _told_in_shots(unread, groups)
        rivals = _contested(members, rules, groups)
        products: dict[uuid.UUID, list[PairScore]] = {}
        for pair in members:
            products.setdefault(_owner(pair, groups), []).append(pair)
        foremost = max(p.sim_deep or 0.0 for p in members)
        for owner, group in products.items():
            decision = _decide_one(group, rivals, foremost, rules, calibration)
            decisions += _of_each_listing(decision, owner, {p.product_id for p in group}, groups)
    return sorted(decisions, key=lambda d: (-d.score, str(d.product_id), str(d.video_id)))


def _told_in_shots(pairs: Sequence[PairScore], groups: Groups) -> list[PairScore]:
    """The pairs of a video, those whose words were not read with what they say of their product elsewhere in
    the shot: one frame speaks for it."""
    read: dict[tuple[int, uuid.UUID], PairScore] = {}
    for pair in sorted((p for p in pairs if p.words is not None), key=lambda p: (_score(p), str(p.img_id))):
        read[pair.shot, _owner(pair, groups)] = pair
    told = ((p, read.get((p.shot, _owner(p, groups)))) for p in pairs)
    return [p if p.words is not None or r is None else replace(p, words=r.words) for p, r in told]


def _owner(pair: PairScore, groups: Groups) -> uuid.UUID:
    return groups.get(pair.product_id, pair.product_id)


def _of_each_listing(
    decision: MatchDecision, owner: uuid.UUID, scored: set[uuid.UUID], groups: Groups
) -> list[MatchDecision]:
    listings = {product for product, first in groups.items() if first == owner}
    if not listings:
        return [decision]
    named = listings if decision.status == "accepted" else listings & scored
    return [
        replace(decision, best=replace(decision.best, product_id=listing), listing_group=owner)
        for listing in named
    ]


def _score(pair: PairScore) -> float:
    return pair.score_pair or 0.0


def _pair_key(pair: PairScore) -> _Key:
    return pair.frame_id, pair.img_id


def _contested(pairs: Sequence[PairScore], rules: Rules, groups: Groups) -> dict[_Key, PairScore]:
    """Pairs of one video that do not lead a rival by the margin, each with its strongest rival.

    A rival is another product at the same place of the same frame. The two are compared by their best pair of
    the shot at that place, so that one blurred frame cannot give the shot to the wrong sibling. Where two
    products score exactly alike they are the same picture sold twice, and neither contests the other.
    """
    floor = rules.review_min - _RIVAL_SLACK
    placed = [p for p in pairs if p.footprint is not None and _score(p) >= floor]
    frames: dict[uuid.UUID | None, list[PairScore]] = {}
    for pair in placed:
        frames.setdefault(pair.frame_id, []).append(pair)
    meets = [
        (a, b)
        for members in frames.values()
        for a in members
        for b in members
        if _owner(a, groups) != _owner(b, groups)
        and overlap_coefficient(a.footprint or (), b.footprint or ()) >= SAME_PLACE
    ]
    best: dict[tuple[int, uuid.UUID, uuid.UUID], float] = {}
    for a, b in meets:
        key = (a.shot, _owner(a, groups), _owner(b, groups))
        best[key] = max(best.get(key, 0.0), _score(a))
    rivals = _seen_elsewhere(pairs, frames, rules, groups)
    for a, b in meets:
        own = best[a.shot, _owner(a, groups), _owner(b, groups)]
        other = best[a.shot, _owner(b, groups), _owner(a, groups)]
        if is_told(a.words, b.words):
            continue
        clear = own == other or own - other >= rules.sibling_margin - _ROUNDING
        if clear and not is_told(b.words, a.words):
            continue
        held = rivals.get(_pair_key(a))
        if held is None or (_score(b), str(b.img_id)) > (_score(held), str(held.img_id)):
            rivals[_pair_key(a)] = b
    return rivals


def _seen_elsewhere(
    pairs: Sequence[PairScore],
    frames: Mapping[uuid.UUID | None, Sequence[PairScore]],
    rules: Rules,
    groups: Groups,
) -> dict[_Key, PairScore]:
    """Pairs that are only alike, in frames where another product was placed: that is what they are like."""
    found: dict[_Key, PairScore] = {}
    for pair in pairs:
        if _score(pair) >= rules.review_min and pair.by_looks:
            others = [
                p
                for p in frames.get(pair.frame_id, ())
                if _owner(p, groups) != _owner(pair, groups) and not p.by_looks
            ]
            if others:
                found[_pair_key(pair)] = max(others, key=lambda p: (_score(p), str(p.img_id)))
    return found


def _decide_one(
    group: list[PairScore],
    rivals: dict[_Key, PairScore],
    foremost: float,
    rules: Rules,
    calibration: Calibration,
) -> MatchDecision:
    # `foremost`: the largest sim_deep of the video. Of pairs without geometry only the first is reviewed.
    best = max(group, key=lambda p: (_capped(p, rivals, rules), _score(p), -p.ts, str(p.img_id)))
    strong = [p for p in group if _score(p) >= rules.accept and _pair_key(p) not in rivals and not p.differs]
    shots, images = len({p.shot for p in strong}), {p.img_id for p in strong}
    score = _capped(best, rivals, rules)
    if shots >= rules.bonus_consistency_min:
        score += rules.bonus_consistency
    if len(images) >= rules.bonus_coverage_min:
        score += rules.bonus_coverage
    score = min(1.0, score)
    fault = _fault(best, rivals.get(_pair_key(best)), shots, rules, calibration)
    if fault:
        score = min(score, rules.accept - CAP_GAP)
    reason = fault or _acceptance(best, shots, rules)
    alike = max(p.sim_deep or 0.0 for p in group)
    status: Status = "rejected"
    if score >= rules.accept:
        status = "accepted"
    elif score >= rules.review_min:
        status = "review"
    elif alike >= max(foremost, rules.review_deep_min):
        status, reason = "review", replace(reason, alike=alike)
    return MatchDecision(best, score, status, reason, shots, len(images))


def _capped(pair: PairScore, rivals: dict[_Key, PairScore], rules: Rules) -> float:
    held = _pair_key(pair) in rivals or pair.differs
    return min(_score(pair), max(0.0, rules.accept - CAP_GAP)) if held else _score(pair)


def _fault(
    best: PairScore, rival: PairScore | None, shots: int, rules: Rules, calibration: Calibration
) -> Reason | None:
    """Why the match cannot be accepted; None where it can."""
    top = _score(best)
    if best.shared:
        return Reason("material.shared")
    if best.sim_kp is None:
        return Reason("keypoints.none")
    if rival is not None:
        scores = {"rival_score": _score(rival), "best": top, "margin": rules.sibling_margin}
        return Reason("rival", {"rival": str(rival.product_id), "rival_image": str(rival.img_id), **scores})
    if best.recolour is not None:
        return Reason("colour.differs", {"value": best.recolour})
    if best.reprint is not None:
        return Reason("print.differs")
    if best.words is not None and best.words.against:
        word, other = best.words.against
        return Reason("word.differs", {"word": word, "other": other})
    if not calibration.calibrated:
        return Reason("model.uncalibrated", {"model": calibration.embedder})
    if best.sim_deep is None:
        return Reason("deep.none", {"least": rules.sim_deep_min})
    if best.sim_deep < rules.sim_deep_min:
        return Reason("deep.low", {"value": best.sim_deep, "least": rules.sim_deep_min})
    # What is accepted by its looks or by learned points has no print to be asked for.
    proven = best.by_looks or best.learned is not None
    if best.sim_kp < rules.inliers_min and (top < rules.best_min or not proven):
        return Reason("geometry.low", {"value": best.sim_kp, "least": rules.inliers_min})
    if top >= rules.best_alone_min or (top >= rules.best_min and shots >= rules.cons_min):
        return None
    if top >= rules.best_min:
        counts = {"shots": shots, "needed": rules.cons_min}
        return Reason("best.alone", {"best": top, "least": rules.best_alone_min, **counts})
    return Reason("best.low", {"best": top, "least": rules.best_min})


def _acceptance(best: PairScore, shots: int, rules: Rules) -> Reason:
    values = {"best": _score(best), "shots": shots}
    if best.by_looks:
        return Reason("accepted.look", values)
    if best.learned is not None:
        return Reason("accepted.learned", {**values, "points": best.learned})
    alone = _score(best) >= rules.best_alone_min
    return Reason("accepted.alone" if alone else "accepted.shots", values)


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
