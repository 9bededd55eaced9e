"""A calibration fitted to verdicts beside the one in force: which fares better on verdicts it never saw."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np

from pvm_core.arrays import F64
from pvm_core.proportions import lower_bound
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import CLIP, Calibration, FeatureScale, Sample, adapt_calibration
from pvm_core.scoring.decision import decide
from pvm_core.scoring.pair import Pair
from pvm_core.scoring.pair_score import score_pair, score_terms
from pvm_core.verification import PairEvidence

#: Fewer verdicts than this say too little about which calibration is better.
ENOUGH_LABELS: Final = 12
#: Groups into which products are dealt; each is judged by a fit without it.
FOLDS: Final = 10
#: Resamples of the interval around the difference in log loss.
_RESAMPLES: Final = 2_000
#: A log loss greater by less than this is the same.
_ROUNDING: Final = 1e-9

#: Why a fit is not put in force unasked. ``few``: fewer than `ENOUGH_LABELS`; ``one_product``, ``one_sided``:
#: verdicts of one product only, or all right or all wrong, compare nothing; the others: it fares worse.
#: ``net_benefit``: what it accepts is worth less (`Fares.net_benefit`).
Doubt = Literal["few", "one_product", "one_sided", "log_loss", "precision", "net_benefit"]
#: A match: its job, product and video.
Match = tuple[str, uuid.UUID, uuid.UUID]


@dataclass(frozen=True)
class LabelledPair:
    """A verdict and the pair of pictures it speaks of.

    Attributes:
        seq: of the verdict; the greater, the newer.
        match: what was judged.
        sample: the pair; its `product` and `shown` are product ids as text.
    """

    seq: int
    match: Match
    sample: Sample

    @property
    def product(self) -> str:
        """The product that was judged."""
        return self.sample.product


@dataclass(frozen=True)
class MeasuredPair:
    """A pair of a job with what was measured on it."""

    job_id: str
    pair: Pair
    sim_rgb: float | None
    sim_gray: float | None
    evidence: PairEvidence
    margin: float | None = None


@dataclass(frozen=True)
class LabelSet:
    """Verdicts, and every pair of the videos they speak of: a match is decided among its rivals.

    Attributes:
        pairs: those that no match of a video can be accepted by may be missing.
    """

    labels: tuple[LabelledPair, ...]
    pairs: tuple[MeasuredPair, ...]

    @cached_property
    def videos(self) -> Mapping[tuple[str, uuid.UUID], list[MeasuredPair]]:
        """The pairs by job and video."""
        found: dict[tuple[str, uuid.UUID], list[MeasuredPair]] = {}
        for one in self.pairs:
            found.setdefault((one.job_id, one.pair.video_id), []).append(one)
        return found

    @property
    def products(self) -> list[str]:
        """Products with a verdict, in order."""
        return sorted({one.product for one in self.labels})

    @property
    def last(self) -> int:
        """The newest verdict's `seq`; 0 without any."""
        return max((one.seq for one in self.labels), default=0)

    @cached_property
    def scale(self) -> FeatureScale:
        """How widely features vary among the pairs whose appearance was compared."""
        return FeatureScale.of(
            Sample(one.evidence, one.sim_rgb, one.sim_gray, False, "", margin=one.margin)
            for one in self.pairs
            if one.evidence.transform is not None
        )


@dataclass(frozen=True)
class Fares:
    """How a calibration fares on verdicts.

    Attributes:
        log_loss: mean of -ln P(verdict) over the judged pairs.
        accepted, wrong: of the judged matches, those accepted and those of them that are wrong.
        right: judged right, accepted or not.
    """

    log_loss: float
    accepted: int
    wrong: int
    right: int

    @property
    def found(self) -> int:
        """Right matches that are accepted."""
        return self.accepted - self.wrong

    @property
    def precision(self) -> float | None:
        """Share of the accepted that is right; None where nothing is accepted."""
        return self.found / self.accepted if self.accepted else None

    @property
    def bound(self) -> float | None:
        """One-sided 95 % lower bound of the precision (Clopper & Pearson 1934)."""
        return lower_bound(self.found, self.accepted) if self.accepted else None

    def net_benefit(self, accept: float) -> float:
        """Right matches that are accepted, less the wrong ones, each of which weighs accept / (1 - accept)
        right ones: whoever accepts from a probability on trades them at that rate (Vickers & Elkin 2006)."""
        return self.found - self.wrong * accept / max(1.0 - accept, 1e-9)

    @property
    def recall(self) -> float | None:
        """Share of the right that is accepted; None where none is right."""
        return self.found / self.right if self.right else None


@dataclass(frozen=True)
class Comparison:
    """The calibration in force and a fit on the same verdicts; neither has learnt from the product it judges.

    Attributes:
        labels, right, products: verdicts, those that say right, and products they are of.
        current, fitted: how each fares.
        gain: by how much the fit lowers the log loss, with its 95 % interval: (lower end, mean, upper end).
        doubts: why the fit is not put in force unasked; none: it is not worse.
        accepted_before, accepted_after: accepted matches of the judged videos, judged or not.
    """

    labels: int
    right: int
    products: int
    current: Fares
    fitted: Fares
    gain: tuple[float, float, float]
    doubts: tuple[Doubt, ...]
    accepted_before: int
    accepted_after: int

    def figures(self) -> dict[str, Any]:
        """JSON-able, to be stored with what was installed."""
        shown = {
            name: {
                "log_loss": one.log_loss, "accepted": one.accepted, "wrong": one.wrong,
                "precision": one.precision, "bound": one.bound, "recall": one.recall,
            }
            for name, one in (("current", self.current), ("fitted", self.fitted))
        }  # fmt: skip
        return {
            **shown, "labels": self.labels, "right": self.right, "products": self.products,
            "gain": list(self.gain), "doubts": list(self.doubts),
            "accepted_before": self.accepted_before, "accepted_after": self.accepted_after,
        }  # fmt: skip


def term_weights(rules: Rules) -> tuple[float, float, float]:
    """The weights of sim_deep, sim_kp and sim_edge as `score_terms` applies them."""
    edge = rules.weight_edge if rules.edge_term else 0.0
    total = rules.weight_deep + rules.weight_kp + edge
    return rules.weight_deep / total, rules.weight_kp / total, edge / total


def fit_labels(
    labels: Iterable[LabelledPair],
    prior: Calibration,
    name: str,
    rules: Rules,
    scale: FeatureScale,
    provenance: Mapping[str, Any] | None = None,
) -> Calibration:
    """`prior` adapted to verdicts; see `adapt_calibration`."""
    samples = [one.sample for one in labels]
    return adapt_calibration(samples, prior, name, term_weights(rules), scale=scale, provenance=provenance)


def without(labels: Iterable[LabelledPair], products: frozenset[str]) -> list[LabelledPair]:
    """The verdicts that say nothing of these products: neither on them nor on a frame that shows one."""
    return [one for one in labels if one.product not in products and not one.sample.shown & products]


def compare(
    given: LabelSet, prior: Calibration, current: Calibration, fitted: Calibration, rules: Rules
) -> Comparison:
    """The calibration in force beside `fitted`.

    Each product is judged by a fit without it (leave-product-out). A calibration in force that has itself
    learnt from verdicts is judged likewise: it would else be praised for what it knows by heart.

    Args:
        prior: what both were adapted from; current: in force; fitted: learnt from all of `given`.
    """
    known = current.provenance.get("last_label") if current.provenance.get("prior") == prior.name else None

    def refitted(left: frozenset[str]) -> Calibration:
        return fit_labels(without(given.labels, left), prior, fitted.name, rules, given.scale)

    def as_before(left: frozenset[str]) -> Calibration:
        if known is None:
            return current
        earlier = [one for one in given.labels if one.seq <= known]
        return fit_labels(without(earlier, left), prior, current.name, rules, given.scale)

    before, after = (_held_out(given, by, rules) for by in (as_before, refitted))
    fares = [_fares(given, one) for one in (before, after)]
    right = sum(one.sample.label for one in given.labels)
    losses = np.array([before[one.seq][0] - after[one.seq][0] for one in given.labels])
    everywhere = [len(_accepted(given, one, rules, given.videos)) for one in (current, fitted)]
    return Comparison(
        len(given.labels), right, len(given.products), fares[0], fares[1], _interval(given, losses),
        _doubts(given, right, fares[0], fares[1], rules.accept), everywhere[0], everywhere[1],
    )  # fmt: skip


def _held_out(
    given: LabelSet, fit: Callable[[frozenset[str]], Calibration], rules: Rules
) -> dict[int, tuple[float, bool]]:
    """Log loss and acceptance by the `seq` of each verdict."""
    products, out = given.products, dict[int, tuple[float, bool]]()
    for fold in range(min(FOLDS, len(products))):
        left = frozenset(products[fold::FOLDS])
        judged = [one for one in given.labels if one.product in left]
        calibration = fit(left)
        accepted = _accepted(given, calibration, rules, {(one.match[0], one.match[2]) for one in judged})
        for one in judged:
            out[one.seq] = _log_loss(one.sample, calibration, rules), one.match in accepted
    return out


def _log_loss(sample: Sample, calibration: Calibration, rules: Rules) -> float:
    found = score_terms(
        sample.evidence, sample.sim_rgb, sample.sim_gray, calibration, rules, sample.margin
    ).score_pair
    p = min(max(found or 0.0, CLIP[0]), CLIP[1])
    return -math.log(p if sample.label else 1.0 - p)


def _accepted(
    given: LabelSet, calibration: Calibration, rules: Rules, videos: Iterable[tuple[str, uuid.UUID]]
) -> set[Match]:
    """The matches of these videos (of a job) that are accepted."""
    found: set[Match] = set()
    for job, video in videos:
        pairs = given.videos.get((job, video), ())
        scored = (
            score_pair(m.pair, m.evidence, m.sim_rgb, m.sim_gray, calibration, rules, m.margin) for m in pairs
        )
        found |= {
            (job, one.product_id, video)
            for one in decide(scored, rules, calibration)
            if one.status == "accepted"
        }
    return found


def _fares(given: LabelSet, judged: Mapping[int, tuple[float, bool]]) -> Fares:
    accepted = [one.sample.label for one in given.labels if judged[one.seq][1]]
    return Fares(
        log_loss=float(np.mean([judged[one.seq][0] for one in given.labels])),
        accepted=len(accepted),
        wrong=accepted.count(False),
        right=sum(one.sample.label for one in given.labels),
    )


def _interval(given: LabelSet, gains: F64) -> tuple[float, float, float]:
    """The mean of `gains` with its 95 % interval by the bootstrap (Efron & Tibshirani 1993), products drawn
    with all their verdicts; the same verdicts give the same interval."""
    products = given.products
    place = {product: n for n, product in enumerate(products)}
    owner = np.array([place[one.product] for one in given.labels])
    total, count = np.bincount(owner, gains), np.bincount(owner).astype(np.float64)
    drawn = np.random.default_rng(0).integers(0, len(products), (_RESAMPLES, len(products)))
    means = total[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(gains.mean()), float(high)


def _doubts(given: LabelSet, right: int, current: Fares, fitted: Fares, accept: float) -> tuple[Doubt, ...]:
    more_wrong = fitted.precision is not None and fitted.precision < (current.precision or 0.0)
    found: dict[Doubt, bool] = {
        "few": len(given.labels) < ENOUGH_LABELS,
        "one_product": len(given.products) < 2,
        "one_sided": right in (0, len(given.labels)),
        "log_loss": fitted.log_loss > current.log_loss + _ROUNDING,
        "precision": more_wrong,
        "net_benefit": fitted.net_benefit(accept) < current.net_benefit(accept),
    }
    return tuple(doubt for doubt, holds in found.items() if holds)
