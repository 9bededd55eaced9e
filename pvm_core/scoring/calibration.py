"""Turns raw measurements into probabilities: a small versioned file of coefficients per embedder.

Each term is a logistic function of a few features. All three are fitted together, so that the *weighted sum*
is the probability: a mean of three probabilities fitted one by one is too far from 0 and 1, and counts twice
what two terms both measure. The fit minimises the Brier score at a balanced prior: half of the weight on true
pairs, the other half on false ones, of which hard negatives (pairs that pass the geometry) have a share of
their own. Brier is bounded, so a pair labelled false whose product is in truth on the shelf behind does not
dominate the fit. Weights never point against their feature (`Feature.sign`), so more evidence never lowers a
term.

`adapt_calibration` fits the same terms to the few labels of one industry, held to a calibration that was
fitted on many: the maximum a posteriori of Chelba & Acero (2006), whose prior on each coefficient is a
Gaussian around its value in the model that is adapted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np

from pvm_core.arrays import F64, Bools
from pvm_core.errors import InputError, ModelError
from pvm_core.verification import PairEvidence

FORMAT: Final = 1
#: No finite sample says more than this about a pair; keeps a term from being certain.
CLIP: Final = (0.001, 0.999)
#: Strength of the ridge on standardised weights: a few dozen hard negatives must not be overfitted.
RIDGE: Final = 1e-3
#: Share of all weight that hard negatives have. They are rare among candidates and the sibling margin rejects
#: most of them, but a sibling whose true partner is not in the catalogue is rejected by its score alone.
HARD_NEGATIVE_SHARE: Final = 0.12
#: How much a standardised coefficient's distance from the prior weighs, in labels: without labels the prior
#: alone counts, with n labels it weighs this over n. Measured in docs/accuracy.md.
PRIOR_LABELS: Final = 1.0
#: A feature that varies less than this does not vary.
_CONSTANT: Final = 1e-6
#: The shipped calibration whose geometry and appearance serve every embedder.
BASE: Final = "classic"


def _log(value: float | None, floor: float) -> float:
    return float(np.log(floor + (value or 0.0)))


@dataclass(frozen=True)
class Feature:
    """One input of a term: how it is read from the evidence, and which way it points."""

    read: Callable[[PairEvidence], float]
    sign: int


#: Features of `sim_kp`. `strength` is Brown & Lowe's (2007) n / (8 + 0.3 m) of n inliers among m matches.
KP_FEATURES: Final[Mapping[str, Feature]] = {
    "log_inliers": Feature(lambda e: float(np.log1p(e.inliers)), 1),
    "log_mutual": Feature(lambda e: float(np.log1p(e.mutual)), 1),
    "strength": Feature(lambda e: float(np.log1p(e.inliers / (8.0 + 0.3 * e.tentative))), 1),
    "coverage": Feature(lambda e: e.coverage or 0.0, 1),
    "log_confirmed": Feature(lambda e: float(np.log1p(e.confirmed or 0)), 1),
    "confirmed_share": Feature(lambda e: e.confirmed_share or 0.0, 1),
    "confirmed_cover": Feature(lambda e: e.confirmed_cover or 0.0, 1),
}
#: Features of `sim_edge`: print, edges, residual displacement, colour.
EDGE_FEATURES: Final[Mapping[str, Feature]] = {
    "print_mid": Feature(lambda e: e.print_mid or 0.0, 1),
    "print_low": Feature(lambda e: e.print_low or 0.0, 1),
    "print_core": Feature(lambda e: e.print_core or 0.0, 1),
    "conflict": Feature(lambda e: e.conflict or 0.0, -1),
    "edge_corr": Feature(lambda e: e.edge_corr or 0.0, 1),
    "log_flow": Feature(lambda e: _log(e.flow, 0.002), -1),
    "flow_agree": Feature(lambda e: e.flow_agree or 0.0, 1),
    "colour_corr": Feature(lambda e: e.colour_corr or 0.0, 1),
    "lab_corr": Feature(lambda e: e.lab_corr or 0.0, 1),
    "log_colour_gap": Feature(lambda e: _log(e.colour_gap, 1.0), -1),
    "log_colour_worst": Feature(lambda e: _log(e.colour_worst, 1.0), -1),
    "hue_conflict": Feature(lambda e: float(np.sqrt(e.hue_conflict or 0.0)), -1),
}
#: A longer lead says no more about the pair, only that the catalogue holds nothing else like it: among two
#: products everything leads by far. Most true pairs of objects without print lead by as much.
MARGIN_CAP: Final = 0.10
#: From so many agreeing points on print decides, for or against: every sibling carton that is as alike as an
#: object without print must be has at least 30, objects without print have 0 to 18.
LOOK_INLIERS: Final = 20
#: Share of weight that false pairs have where likeness is judged alone: whoever leads a frame is wrong
#: wherever the right product is not in the catalogue, and that is the usual case. Half lets a plush sloth
#: pass for a bear.
LOOK_FALSE_SHARE: Final = 2 / 3
#: Keeps the fit of separable pairs finite.
LOOK_RIDGE: Final = 1e-4
#: Fewer true or false pairs than this do not say what likeness alone is worth.
MIN_LOOK_PAIRS: Final = 10
#: Fewer keypoints than this in either picture: geometry could not be tried.
MIN_KEYPOINTS: Final = 8


def kp_features(evidence: PairEvidence) -> F64 | None:
    """The features of `sim_kp`; None where a picture has too few keypoints for geometry to be tried."""
    if evidence.keypoints < MIN_KEYPOINTS:
        return None
    return np.array([f.read(evidence) for f in KP_FEATURES.values()])


def edge_features(evidence: PairEvidence) -> F64 | None:
    """The features of `sim_edge`; None where the frame was not warped onto the product."""
    if evidence.print_mid is None:
        return None
    return np.array([f.read(evidence) for f in EDGE_FEATURES.values()])


#: Features of `sim_deep`. A calibration may be without the margin.
DEEP_FEATURES: Final = ("cosine", "margin")
#: Features of the second verifier's term (`pvm_core.scoring.learned_term`).
LEARNED_FEATURES: Final = (*DEEP_FEATURES, "log_points")


def deep_features(sim_rgb: float | None, sim_gray: float | None, margin: float | None) -> F64 | None:
    """The features of `sim_deep`: the larger cosine, and how far it leads; None where there is no cosine.

    A pair that has nobody to lead (`margin` None) leads by nothing, and a lead counts up to `MARGIN_CAP`.
    """
    cosines = [c for c in (sim_rgb, sim_gray) if c is not None]
    return np.array([max(cosines), min(margin or 0.0, MARGIN_CAP)]) if cosines else None


@dataclass(frozen=True)
class Logistic:
    """P = 1 / (1 + exp(-(bias + weights . features))), clipped to `CLIP`; it reads its first features."""

    features: tuple[str, ...]
    weights: tuple[float, ...]
    bias: float

    def __call__(self, values: F64) -> float:
        z = self.bias + float(np.dot(self.weights, values[: len(self.weights)]))
        return float(np.clip(1.0 / (1.0 + np.exp(-z)), *CLIP))


@dataclass(frozen=True)
class Calibration:
    """Coefficients of the three terms for one embedder.

    Attributes:
        name: identifies the file, stored with every match.
        embedder: name of the model whose cosines `deep` was fitted on.
        embedder_key: key of that model, "" where it is not known.
        deep: cosine, and margin where the file knows it -> P, or None: a model that is not calibrated has no
            `sim_deep`.
        kp, edge: geometry -> P and appearance -> P.
        look: cosine and margin -> P for a pair with too little print to decide, or None: likeness alone is
            never enough.
        learned: cosine, margin and agreeing learned points -> P for a pair with hardly any print, or None:
            the second verifier is not asked. learned_by: the detector and matcher it was fitted on.
        provenance: data, versions and results of the fit.
    """

    name: str
    embedder: str
    deep: Logistic | None
    kp: Logistic
    edge: Logistic
    embedder_key: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    look: Logistic | None = None
    learned: Logistic | None = None
    learned_by: str = ""

    @property
    def calibrated(self) -> bool:
        """Whether the embedder's cosine is calibrated; without it no match is accepted."""
        return self.deep is not None


@dataclass(frozen=True)
class Sample:
    """One labelled pair.

    Attributes:
        evidence, sim_rgb, sim_gray: what was measured; margin: the larger cosine less that of the most alike
            other product of the frame, None without one.
        label: whether the frame shows the product.
        product: the product of the picture; shown: the products that the frame shows.
            A product is left out with every sample that names it in either place.
    """

    evidence: PairEvidence
    sim_rgb: float | None
    sim_gray: float | None
    label: bool
    product: str
    shown: frozenset[str] = frozenset()
    margin: float | None = None


@dataclass(frozen=True, eq=False)
class FeatureScale:
    """Mean and standard deviation of each feature, by term: sim_deep, sim_kp, sim_edge; a feature that is the
    same everywhere has a deviation of 1."""

    terms: tuple[tuple[F64, F64], ...]

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> FeatureScale:
        """Of the pairs whose geometry could be tried, with a cosine."""
        known = [v for s in samples if (v := _values(s)) is not None]
        return cls(tuple(_scale([v[i] for v in known], len(signs)) for i, signs in enumerate(_term_signs())))


def _scale(rows: Sequence[F64 | None], width: int) -> tuple[F64, F64]:
    values = np.stack([r for r in rows if r is not None] or [np.zeros(width)])
    deviation = values.std(axis=0)
    return values.mean(axis=0), np.where(deviation > _CONSTANT, deviation, 1.0)


def fit_calibration(
    samples: Iterable[Sample],
    embedder: str,
    name: str,
    weights: tuple[float, float, float],
    *,
    embedder_key: str = "",
    provenance: Mapping[str, Any] | None = None,
) -> Calibration:
    """Coefficients that explain labelled pairs.

    Args:
        samples: pairs whose geometry could not be tried, or without a cosine, are left out.
        weights: of sim_deep, sim_kp, sim_edge in the rules the score is meant for.
    Raises:
        InputError: code `calibration.samples`: too few true or false pairs to be fitted on.
    """
    given = [(s, _values(s)) for s in samples]
    known = [(s, v) for s, v in given if v is not None]
    label = np.array([s.label for s, _ in known], bool)
    alike = np.array([s.evidence.transform is not None for s, _ in known], bool)
    _enough(label, alike)
    names = (DEEP_FEATURES, tuple(KP_FEATURES), tuple(EDGE_FEATURES))
    designs = [_Design.of([v[i] for _, v in known], signs) for i, signs in enumerate(_term_signs())]
    share = balanced_weights(label, alike)
    fitted = _minimise(designs, label, share, weights)
    deep, kp, edge = (d.logistic(n, c) for d, n, c in zip(designs, names, fitted, strict=True))
    counted = {"true_pairs": int(label.sum()), "false_pairs": int((~label).sum()), "weights": list(weights)}
    said = {**counted, **(provenance or {})}
    return Calibration(name, embedder, deep, kp, edge, embedder_key, said, fit_look(s for s, _ in known))


def fit_look(samples: Iterable[Sample]) -> Logistic | None:
    """P that likeness alone is right, by cosine and margin; None: too few true or false pairs to say so.

    Only pairs that lead every other product of their frame are looked at, with too little print to decide
    (`LOOK_INLIERS`); no other may be accepted by their looks. `LOOK_FALSE_SHARE` of the weight is on false
    ones, which are what leads where the right product is not in the catalogue. Every product weighs the same:
    a look-alike of which there are few pictures counts as much as cartons of which there are hundreds.
    """
    known = [s for s in samples if s.evidence.inliers < LOOK_INLIERS and (s.margin or 0.0) > 0.0]
    rows = [deep_features(s.sim_rgb, s.sim_gray, s.margin) for s in known]
    label = np.array([s.label for s in known], bool)
    if min(label.sum(), (~label).sum()) < MIN_LOOK_PAIRS:
        return None
    design = _Design.of(rows, _term_signs()[0])
    return design.logistic(DEEP_FEATURES, _maximise_likelihood(design, label, look_weights(known)))


def look_weights(samples: Sequence[Sample]) -> F64:
    """(N,) weight of each pair in a fit by looks: `LOOK_FALSE_SHARE` on false ones, each product the same."""
    share = np.zeros(len(samples))
    for kind, part in ((True, 1.0 - LOOK_FALSE_SHARE), (False, LOOK_FALSE_SHARE)):
        count = Counter(s.product for s in samples if s.label == kind)
        for i, s in enumerate(samples):
            if s.label == kind:
                share[i] = part / len(count) / count[s.product]
    return share


def fit_alone(rows: Sequence[F64 | None], label: Bools, share: F64) -> Logistic:
    """The second verifier's term, fitted by itself to rows of `LEARNED_FEATURES`; share: weight of each."""
    design = _Design.of(rows, np.ones(len(LEARNED_FEATURES)))
    return design.logistic(LEARNED_FEATURES, _maximise_likelihood(design, label, share))


def adapt_calibration(
    samples: Iterable[Sample],
    prior: Calibration,
    name: str,
    weights: tuple[float, float, float],
    *,
    scale: FeatureScale | None = None,
    prior_labels: float = PRIOR_LABELS,
    provenance: Mapping[str, Any] | None = None,
) -> Calibration:
    """`prior` adapted to labels of the very pairs it is meant for, however few.

    Without samples its coefficients are those of `prior`; the more there are, the less `prior` counts. Every
    label weighs the same: unlike the negatives of a photo set, which are as many as one likes, labels are in
    the proportions in which such pairs are right and wrong.

    Args:
        samples: pairs whose geometry could not be tried, or without a cosine, are left out.
        prior: a calibration with all three terms.
        weights: of sim_deep, sim_kp, sim_edge in the rules the score is meant for.
        scale: how widely features vary, for standardising them; default as in `samples`, which are few to
            say it: give that of all pairs, labelled or not.
        prior_labels: how many labels the prior weighs.

    Raises:
        InputError: `calibration.embedder`: `prior` has no `sim_deep`.
    """
    if prior.deep is None:
        raise InputError(
            "calibration.embedder", prior.embedder,
            "its cosine is not calibrated, so labels have nothing to adapt",
            f"Run pvm models calibrate {prior.embedder} first",
        )  # fmt: skip
    known = [(s, v) for s in samples if (v := _values(s)) is not None]
    true = sum(s.label for s, _ in known)
    counted = {"true_pairs": true, "false_pairs": len(known) - true, "weights": list(weights)}
    said = {**counted, "prior": prior.name, **(provenance or {})}
    if not known:
        return replace(prior, name=name, provenance=said)
    scale = scale or FeatureScale.of(s for s, _ in known)
    terms = (prior.deep, prior.kp, prior.edge)
    # A calibration that knows no margin stays without it.
    width = [len(t.features) for t in terms]
    designs = [
        _Design.scaled(
            [None if v[i] is None else v[i][:n] for _, v in known],  # type: ignore[index]
            scale.terms[i][0][:n], scale.terms[i][1][:n], signs[:n],
        )
        for i, (signs, n) in enumerate(zip(_term_signs(), width, strict=True))
    ]  # fmt: skip
    centre = [d.standardised(t) for d, t in zip(designs, terms, strict=True)]
    label = np.array([s.label for s, _ in known], bool)
    even = np.full(len(known), 1.0 / len(known))
    fitted = _minimise(designs, label, even, weights, centre, prior_labels / len(known))
    deep, kp, edge = (d.logistic(t.features, c) for d, t, c in zip(designs, terms, fitted, strict=True))
    return replace(prior, name=name, deep=deep, kp=kp, edge=edge, provenance=said)


def _values(sample: Sample) -> tuple[F64, F64, F64 | None] | None:
    deep = deep_features(sample.sim_rgb, sample.sim_gray, sample.margin)
    kp = kp_features(sample.evidence)
    return None if deep is None or kp is None else (deep, kp, edge_features(sample.evidence))


def _term_signs() -> tuple[F64, F64, F64]:
    """The signs of the features of sim_deep, sim_kp and sim_edge."""
    kp, edge = (np.array([f.sign for f in x.values()], np.float64) for x in (KP_FEATURES, EDGE_FEATURES))
    return np.ones(len(DEEP_FEATURES)), kp, edge


def _enough(label: Bools, alike: Bools) -> None:
    true, false = int((label & alike).sum()), int((~label & alike).sum())
    if true < 5 or false < 5:
        raise InputError(
            "calibration.samples",
            "labelled pairs",
            f"{true} true and {false} false pairs with a transform are too few to be fitted",
            "Give at least 5 of each, hard negatives among the false",
        )


def balanced_weights(label: Bools, alike: Bools) -> F64:
    """Weights summing to 1: true pairs half, hard negatives `HARD_NEGATIVE_SHARE`, others the rest."""
    hard, other = HARD_NEGATIVE_SHARE, 0.5 - HARD_NEGATIVE_SHARE
    return _shares([(label, 0.5), (~label & alike, hard), (~label & ~alike, other)])


def _shares(groups: Sequence[tuple[Bools, float]]) -> F64:
    """Weights summing to 1: each group's part spread evenly over its members; an empty one has none."""
    weights = np.zeros(len(groups[0][0]))
    for group, part in groups:
        if group.any():
            weights[group] = part / group.sum()
    total: F64 = weights / weights.sum()
    return total


@dataclass(frozen=True)
class _Design:
    """One term's standardised features (N, F) with ones as last column; zeros where evidence is missing."""

    rows: F64
    known: Bools
    mean: F64
    deviation: F64
    signs: F64

    @classmethod
    def of(cls, given: Sequence[F64 | None], signs: F64) -> _Design:
        values = np.stack([r for r in given if r is not None])
        return cls.scaled(given, values.mean(axis=0), values.std(axis=0) + 1e-9, signs)

    @classmethod
    def scaled(cls, given: Sequence[F64 | None], mean: F64, deviation: F64, signs: F64) -> _Design:
        """Standardised by a mean and a deviation of each feature."""
        known = np.array([r is not None for r in given], bool)
        values = np.stack([r if r is not None else mean for r in given])
        unit = np.c_[(values - mean) / deviation, np.ones(len(values))]
        return cls(unit * known[:, None], known, mean, deviation, signs)

    @property
    def start(self) -> F64:
        """Coefficients to begin with: every feature counts alike."""
        return np.append(0.9 * self.signs / np.sqrt(len(self.signs)), 0.0)

    def standardised(self, term: Logistic) -> F64:
        """The coefficients of a term for standardised features, the bias last."""
        weights = np.array(term.weights)
        return np.append(weights * self.deviation, term.bias + weights @ self.mean)

    def probabilities(self, coefficients: F64) -> F64:
        """(N,), 0 where the evidence is missing."""
        p: F64 = self.known / (1.0 + np.exp(-np.clip(self.rows @ coefficients, -40, 40)))
        return p

    def logistic(self, names: tuple[str, ...], coefficients: F64) -> Logistic:
        """The term for features as they are, not standardised."""
        scaled = coefficients[:-1] / self.deviation
        bias = float(coefficients[-1] - scaled @ self.mean)
        return Logistic(names, tuple(float(w) for w in scaled), bias)


def _minimise(
    designs: Sequence[_Design],
    label: Bools,
    share: F64,
    weights: Sequence[float],
    prior: Sequence[F64] | None = None,
    pull: float = 0.0,
) -> list[F64]:
    """Coefficients of each term, the bias last; the same samples give the same fit.

    Args:
        share: of each sample in the loss.
        prior: coefficients that those found are held at; pull: how strongly.
    """
    # Only a fit needs it: it costs 0.4 s of start-up.
    from scipy.optimize import minimize

    ends = np.cumsum([d.rows.shape[1] for d in designs])[:-1]
    neutral = np.concatenate([d.start for d in designs])
    centre = np.concatenate(prior) if prior is not None else neutral

    def loss(coefficients: F64) -> tuple[float, F64]:
        parts = np.split(coefficients, ends)
        found = [d.probabilities(c) for d, c in zip(designs, parts, strict=True)]
        error: F64 = sum((w * p for w, p in zip(weights, found, strict=True)), np.zeros(len(label))) - label
        ridge, away = RIDGE * coefficients, coefficients - centre
        ridge[[*(ends - 1), -1]] = 0.0
        slopes = [
            d.rows.T @ (2.0 * share * error * w * p * (1.0 - p))
            for d, w, p in zip(designs, weights, found, strict=True)
        ]
        held = ridge @ coefficients / 2 + pull * (away @ away) / 2
        return float(share @ error**2 + held), np.concatenate(slopes) + ridge + pull * away

    signs = np.concatenate([np.append(d.signs, 0.0) for d in designs])
    inside = [(0.0, None) if v > 0 else (None, 0.0) if v < 0 else (None, None) for v in signs]
    options = {"maxiter": 5_000, "maxfun": 50_000, "ftol": 1e-14, "gtol": 1e-9}
    # The loss of a sum of sigmoids has several minima: where the prior is sure of what is wrong it is flat.
    starts = [neutral] if prior is None else [centre, neutral]
    found = [minimize(loss, s, jac=True, method="L-BFGS-B", bounds=inside, options=options) for s in starts]
    return np.split(min(found, key=lambda end: float(end.fun)).x, ends)


def _maximise_likelihood(design: _Design, label: Bools, share: F64) -> F64:
    """Coefficients of one term alone, the bias last."""
    from scipy.optimize import minimize

    def loss(coefficients: F64) -> tuple[float, F64]:
        p = np.clip(design.probabilities(coefficients), 1e-12, 1 - 1e-12)
        ridge = LOOK_RIDGE * np.append(coefficients[:-1], 0.0)
        value = -(share @ np.where(label, np.log(p), np.log(1.0 - p))) + ridge @ coefficients / 2
        return float(value), design.rows.T @ (share * (p - label)) + ridge

    inside = [(0.0, None)] * len(design.signs) + [(None, None)]
    found: F64 = minimize(loss, design.start, jac=True, method="L-BFGS-B", bounds=inside).x
    return found


def to_json(calibration: Calibration) -> str:
    """The calibration as the text of its file; `from_json` gives an equal object back."""
    terms = {
        "deep": calibration.deep, "kp": calibration.kp, "edge": calibration.edge,
        **({"look": calibration.look} if calibration.look else {}),
        **({"learned": calibration.learned} if calibration.learned else {}),
    }  # fmt: skip
    body = {
        "format": FORMAT,
        "name": calibration.name,
        "embedder": calibration.embedder,
        "embedder_key": calibration.embedder_key,
        "terms": {
            k: None
            if t is None
            else {"weights": dict(zip(t.features, t.weights, strict=True)), "bias": t.bias}
            for k, t in terms.items()
        },
        **({"learned_by": calibration.learned_by} if calibration.learned else {}),
        "provenance": dict(calibration.provenance),
    }
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def from_json(text: str, subject: str = "calibration") -> Calibration:
    """A calibration written by `to_json`.

    Raises:
        ModelError: `calibration.corrupt`, naming what does not fit.
    """
    try:
        body = json.loads(text)
        if body["format"] != FORMAT:
            raise ValueError(f"format {body['format']} where {FORMAT} is known")
        terms = body["terms"]
        return Calibration(
            name=str(body["name"]),
            embedder=str(body["embedder"]),
            deep=_deep_term(terms["deep"]) if terms.get("deep") else None,
            kp=_term(terms["kp"], tuple(KP_FEATURES)),
            edge=_term(terms["edge"], tuple(EDGE_FEATURES)),
            embedder_key=str(body.get("embedder_key", "")),
            provenance=body.get("provenance", {}),
            look=_term(terms["look"], DEEP_FEATURES) if terms.get("look") else None,
            learned=_term(terms["learned"], LEARNED_FEATURES) if terms.get("learned") else None,
            learned_by=str(body.get("learned_by", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            "calibration.corrupt",
            subject,
            f"is not a calibration ({error})",
            "Fit it again: pvm evaluate FOLDER --fit FILE",
        ) from error


def _deep_term(body: Mapping[str, Any]) -> Logistic:
    return _term(body, DEEP_FEATURES if "margin" in body["weights"] else DEEP_FEATURES[:1])


def _term(body: Mapping[str, Any], features: tuple[str, ...]) -> Logistic:
    weights = body["weights"]
    if set(weights) != set(features):
        raise ValueError(f"features {sorted(weights)} where {sorted(features)} are measured")
    values = tuple(float(weights[f]) for f in features)
    if not np.isfinite([*values, float(body["bias"])]).all():
        raise ValueError("a coefficient is not a number")
    return Logistic(features, values, float(body["bias"]))


def load_calibration(path: Path | None, embedder_name: str) -> Calibration:
    """The calibration in `path`, or the shipped one for `embedder_name`.

    An embedder without a shipped file gets the shipped geometry and appearance and no `sim_deep`: it can
    reach review, never accepted. So does one whose name is not that of the file given.

    Raises:
        ModelError: `calibration.missing` or `calibration.corrupt`.
    """
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ModelError(
                "calibration.missing", str(path), "cannot be read", "Name an existing calibration file"
            ) from error
        found = from_json(text, str(path))
    else:
        shipped = embedder_name if embedder_name in calibrated_embedders() else BASE
        found = from_json(_shipped(shipped), f"shipped calibration {shipped}")
    if found.embedder == embedder_name:
        return found
    return Calibration(
        f"{found.name} without sim_deep", embedder_name, None, found.kp, found.edge, "", found.provenance
    )


def calibrated_embedders() -> frozenset[str]:
    """Names of the embedders whose cosine a shipped file calibrates."""
    folder = resources.files("pvm_core") / "data" / "calibration"
    return frozenset(f.name.removesuffix(".json") for f in folder.iterdir() if f.name.endswith(".json"))


def _shipped(name: str) -> str:
    return (resources.files("pvm_core") / "data" / "calibration" / f"{name}.json").read_text("utf-8")
