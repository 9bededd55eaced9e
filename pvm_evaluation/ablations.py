"""What each part is worth: the same pairs judged without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pvm_core.rules import Rules
from pvm_core.scoring.calibration import Sample
from pvm_core.verification import PairEvidence
from pvm_evaluation.fitting import Identity, by_source, cross_validate
from pvm_evaluation.measure import RawPair
from pvm_evaluation.metrics import Ranking, rank_terms


@dataclass(frozen=True)
class Ablation:
    """The score's ranking under one change, leave-product-out."""

    name: str
    ranking: Ranking


def without_colour(evidence: PairEvidence) -> PairEvidence:
    """The evidence with the colour figures unknown: `sim_edge` then judges the print alone."""
    return replace(
        evidence, colour_corr=None, lab_corr=None, colour_gap=None, colour_worst=None, hue_conflict=None
    )


def ablate(
    pairs: Sequence[RawPair],
    samples: Sequence[Sample],
    embedder: str,
    rules: Rules,
    *,
    unmasked: Sequence[RawPair] = (),
    identity: Identity = by_source,
) -> list[Ablation]:
    """The score's ranking as it is, without colour, with each term alone, and without masks.

    Args:
        pairs: measured pairs; samples: what may be learnt from, measured the same way.
        unmasked: the same folder measured with `Setting(segmenter="")`; none leaves that line out.
    """

    def score(judged: Sequence[RawPair], learnt: Sequence[Sample]) -> list[Ranking]:
        return rank_terms(cross_validate(judged, learnt, embedder, rules, identity=identity))

    whole = score(pairs, samples)
    names = {"sim_deep": "sim_deep alone", "sim_kp": "sim_kp alone", "sim_edge": "sim_edge alone"}
    out = [Ablation(names.get(r.term, "all"), r) for r in reversed(whole)]
    plain = score(_changed(pairs, without_colour), _changed_samples(samples, without_colour))
    out.append(Ablation("no colour", plain[-1]))
    if unmasked:
        out.append(Ablation("no mask", score(unmasked, samples)[-1]))
    return out


def _changed(pairs: Sequence[RawPair], change: Callable[[PairEvidence], PairEvidence]) -> list[RawPair]:
    return [replace(p, evidence=change(p.evidence)) for p in pairs if p.evidence is not None]


def _changed_samples(
    samples: Sequence[Sample], change: Callable[[PairEvidence], PairEvidence]
) -> list[Sample]:
    return [replace(s, evidence=change(s.evidence)) for s in samples]
