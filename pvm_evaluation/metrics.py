"""Measures of scored pairs and decisions: ranking, precision with its bound, reliability, retrieval."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pvm_core.proportions import lower_bound
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import Calibration
from pvm_core.scoring.decision import MatchDecision, decide
from pvm_core.scoring.pair import PairScore
from pvm_core.scoring.pair_score import score_pair
from pvm_core.verification.word_evidence import rarities
from pvm_evaluation.measure import RawPair

TERMS: Final = ("sim_deep", "sim_kp", "sim_edge", "score_pair")
#: Candidates at which retrieval recall is reported.
RECALL_AT: Final = (1, 5, 20)
#: False positive rate at which a term's recall is reported.
FPR: Final = 0.01
#: Edges of the reliability diagram's bins.
BINS: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Ranking:
    """How well one number ranks true pairs over false ones: AUC and recall at `FPR` false positives."""

    term: str
    auc: float
    recall: float
    true: int
    false: int


@dataclass(frozen=True)
class Decided:
    """The decision on one product and video, beside the truth."""

    source: str
    product: str
    video: str
    label: bool | None
    decision: MatchDecision


@dataclass(frozen=True)
class Precision:
    """Accepted matches against the truth; `bound` is one-sided, 95 % (Clopper & Pearson 1934)."""

    accepted: int
    wrong: int
    true: int
    scored: int
    precision: float
    bound: float
    recall: float


@dataclass(frozen=True)
class Bin:
    """One bar of the reliability diagram: scores in [low, high), their mean and the share that is true."""

    low: float
    high: float
    count: int
    mean: float
    true: float


def score_pairs(
    pairs: Iterable[RawPair], calibration: Calibration, rules: Rules
) -> list[tuple[RawPair, PairScore]]:
    """The pairs that were verified, with their scores."""
    known = [p for p in pairs if p.evidence is not None]
    rarity = rarities(
        (p.product, p.evidence.words.carried)
        for p in known
        if p.evidence is not None and p.evidence.words is not None
    )
    return [
        (p, score_pair(
            p.pair, p.evidence, p.sim_rgb, p.sim_gray, calibration, rules, p.margin, p.share, rarity
        ))
        for p in known
    ]  # fmt: skip


def decide_pairs(
    scored: Sequence[tuple[RawPair, PairScore]],
    rules: Rules,
    calibration: Calibration,
) -> list[Decided]:
    """Decisions on all scored pairs of one folder, best first, each beside its truth."""
    names = {(score.product_id, score.video_id): raw for raw, score in scored}
    out = []
    groups = {raw.pair.product_id: raw.named("product", raw.group) for raw, _ in scored if raw.group}
    for decision in decide((score for _, score in scored), rules, calibration, groups):
        raw = names.get((decision.product_id, decision.video_id))
        if raw is None:  # a listing of a group that was no candidate itself
            continue
        out.append(Decided(raw.source, raw.product, raw.video, raw.label, decision))
    return out


def auc(label: Sequence[bool], value: Sequence[float]) -> float:
    """Area under the ROC curve; ties count half. NaN where one kind is missing."""
    y, x = np.asarray(label, bool), np.asarray(value, np.float64)
    true, false = int(y.sum()), int((~y).sum())
    if not true or not false:
        return float("nan")
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((rank[y].sum() - true * (true + 1) / 2) / (true * false))


def recall_at_fpr(label: Sequence[bool], value: Sequence[float], rate: float = FPR) -> float:
    """Share of true values above all but `rate` of the false ones; NaN where one kind is missing."""
    y, x = np.asarray(label, bool), np.asarray(value, np.float64)
    if not y.any() or y.all():
        return float("nan")
    return float((x[y] > np.quantile(x[~y], 1 - rate, method="higher")).mean())


def rank_terms(scored: Sequence[tuple[RawPair, PairScore]], terms: Sequence[str] = TERMS) -> list[Ranking]:
    """Each term's ranking over pairs whose label is known; a missing term ranks last."""
    known = [(p, s) for p, s in scored if p.label is not None]
    label = [bool(p.label) for p, _ in known]
    out = []
    for term in terms:
        values = [-1.0 if getattr(s, term) is None else float(getattr(s, term)) for _, s in known]
        true = sum(label)
        out.append(Ranking(term, auc(label, values), recall_at_fpr(label, values), true, len(label) - true))
    return out


def retrieval_recall(pairs: Iterable[RawPair], at: Sequence[int] = RECALL_AT) -> dict[int, float]:
    """Share of true (product, video) pairs among the first K candidates of any frame of the video."""
    best: dict[tuple[str, str, str], int] = {}
    for p in pairs:
        if p.label:
            key = (p.source, p.product, p.video)
            best[key] = min(best.get(key, p.rank), p.rank)
    return {k: sum(r <= k for r in best.values()) / len(best) if best else float("nan") for k in at}


def precision_of(decided: Iterable[Decided], true: int, accept: float) -> Precision:
    """Precision and recall of accepted matches; those without a label are not counted.

    Args:
        true: true pairs there are, found or not.
    """
    known = [d for d in decided if d.label is not None]
    accepted = [d for d in known if d.decision.score >= accept]
    right = sum(bool(d.label) for d in accepted)
    return Precision(
        accepted=len(accepted),
        wrong=len(accepted) - right,
        true=true,
        scored=len(known),
        precision=right / len(accepted) if accepted else float("nan"),
        bound=lower_bound(right, len(accepted)) if accepted else 0.0,
        recall=right / true if true else float("nan"),
    )


def true_count(pairs: Iterable[RawPair]) -> int:
    """True (product, video) pairs among the pairs of a measurement."""
    return len({(p.source, p.product, p.video) for p in pairs if p.label})


def reliability(decided: Iterable[Decided], bins: Sequence[float] = BINS) -> list[Bin]:
    """The reliability diagram of the final score."""
    known = [d for d in decided if d.label is not None]
    score = np.array([d.decision.score for d in known], np.float64)
    label = np.array([bool(d.label) for d in known], np.float64)
    place: npt.NDArray[np.intp] = np.clip(np.searchsorted(bins, score, side="right") - 1, 0, len(bins) - 2)
    out = []
    for i, (low, high) in enumerate(itertools.pairwise(bins)):
        inside = place == i
        n = int(inside.sum())
        mean, true = (float(score[inside].mean()), float(label[inside].mean())) if n else (0.0, 0.0)
        out.append(Bin(low, high, n, mean, true))
    return out
