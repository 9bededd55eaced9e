"""Fitting a calibration to measured pairs, judged on products it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pvm_core.rules import Rules
from pvm_core.scoring.calibration import Calibration, Sample, fit_calibration
from pvm_core.scoring.learned_term import fit_learned
from pvm_core.scoring.margin import margins
from pvm_core.scoring.pair import PairScore
from pvm_evaluation.measure import RawPair
from pvm_evaluation.metrics import score_pairs

#: Names a product across folders, so that a product of two folders is left out of both.
Identity = Callable[[RawPair], str]


def by_source(pair: RawPair) -> str:
    """A product is its folder and its name."""
    return f"{pair.source}/{pair.product}"


@dataclass(frozen=True)
class Fitted:
    """A calibration and how it fares on what it has not seen.

    Attributes:
        calibration: fitted on everything.
        held_out: every verified pair, scored by a calibration fitted without its product.
    """

    calibration: Calibration
    held_out: list[tuple[RawPair, PairScore]]


def to_samples(pairs: Iterable[RawPair], identity: Identity = by_source) -> list[Sample]:
    """Labelled and verified pairs as samples; a frame's shown products are those its true pairs name.

    The frames that show a product are given a second time as if it were not in the catalogue: what is then
    most alike leads, and is wrong. Without them a fit would take it for granted that one of the products is
    there.
    """
    given = [p for p in pairs if p.label is not None and p.evidence is not None]
    shown: dict[tuple[str, str], set[str]] = {}
    for p in given:
        if p.label:
            shown.setdefault((p.source, p.video), set()).add(identity(p))

    def sample(p: RawPair, margin: float | None) -> Sample:
        assert p.evidence is not None
        seen = frozenset(shown.get((p.source, p.video), ()))
        return Sample(p.evidence, p.sim_rgb, p.sim_gray, bool(p.label), identity(p), seen, margin)

    frames: dict[tuple[str, str], list[RawPair]] = {}
    for p in given:
        if p.label or not shown.get((p.source, p.video)):
            continue
        frames.setdefault((p.source, p.frame), []).append(p)
    absent = [
        sample(p, margin)
        for rest in frames.values()
        for p, margin in zip(
            rest, margins([identity(p) for p in rest], [p.similarity for p in rest]), strict=True
        )
        if margin is not None and margin > 0.0
    ]
    return [*(sample(p, p.margin) for p in given), *absent]


def fit_on(
    samples: Sequence[Sample],
    embedder: str,
    name: str,
    rules: Rules,
    *,
    embedder_key: str = "",
    provenance: Mapping[str, Any] | None = None,
    learned_by: str = "",
) -> Calibration:
    """A calibration for the weights of `rules`.

    Args:
        learned_by: the learned local features with which `samples` were measured, "" for none.

    Raises:
        InputError: `calibration.samples`.
    """
    weights = (rules.weight_deep, rules.weight_kp, rules.weight_edge)
    fitted = fit_calibration(
        samples, embedder, name, weights, embedder_key=embedder_key, provenance=provenance
    )
    learned = fit_learned(samples)
    return replace(fitted, learned=learned, learned_by="" if learned is None else learned_by)


def cross_validate(
    judged: Sequence[RawPair],
    samples: Sequence[Sample],
    embedder: str,
    rules: Rules,
    *,
    folds: int = 5,
    identity: Identity = by_source,
) -> list[tuple[RawPair, PairScore]]:
    """Every verified pair scored by a calibration fitted without its product.

    A left-out product takes with it every sample whose picture shows it *and* every sample whose frame does:
    neither its true pairs nor the negatives on either side are learnt from.

    Args:
        judged: pairs to be scored, of one or several folders.
        samples: what may be learnt from.
        folds: groups into which the products are dealt.
    """
    products = sorted({identity(p) for p in judged})
    out: list[tuple[RawPair, PairScore]] = []
    for fold in range(min(folds, len(products))):
        left = set(products[fold::folds])
        kept = [s for s in samples if s.product not in left and not s.shown & left]
        calibration = fit_on(kept, embedder, f"without fold {fold}", rules)
        out += score_pairs((p for p in judged if identity(p) in left), calibration, rules)
    return out


def fit(
    pairs: Sequence[RawPair],
    embedder: str,
    name: str,
    rules: Rules,
    *,
    embedder_key: str = "",
    folds: int = 5,
    provenance: Mapping[str, Any] | None = None,
    learned_by: str = "",
) -> Fitted:
    """A calibration fitted on all pairs, and the same pairs judged leave-product-out.

    Raises:
        InputError: `calibration.samples`: too few true or false pairs.
    """
    samples = to_samples(pairs)
    calibration = fit_on(
        samples,
        embedder,
        name,
        rules,
        embedder_key=embedder_key,
        provenance=provenance,
        learned_by=learned_by,
    )
    return Fitted(calibration, cross_validate(pairs, samples, embedder, rules, folds=folds))
