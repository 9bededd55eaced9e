"""Turns raw figures into probabilities: a small versioned file of coefficients per embedder.

Each term is a logistic regression on a few figures, fitted at a balanced prior: half of the weight on true
pairs, half on false ones, and of the false half one part on look-alikes (pairs that pass the geometry), one
on the rest. Weights never point against the figure (`Figure.sign`), so more evidence never lowers a term.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pvm_core.errors import InputError, ModelError
from pvm_core.verification import PairEvidence

F64 = npt.NDArray[np.float64]

FORMAT: Final = 1
#: No finite sample says more than this about a pair; keeps a term from being certain.
CLIP: Final = (0.001, 0.999)
#: Strength of the ridge on standardised weights: a few dozen look-alikes must not be learnt by heart.
RIDGE: Final = 2.0
#: Pull of `tune_sum`'s slopes (their logarithms) and shifts towards none.
PULL: Final = 2e-3
#: The shipped calibration whose geometry and appearance serve every embedder.
BASE: Final = "classic"


def _log(value: float | None, floor: float) -> float:
    return float(np.log(floor + (value or 0.0)))


@dataclass(frozen=True)
class Figure:
    """One figure a term looks at: how it is read from the evidence, and which way it points."""

    read: Callable[[PairEvidence], float]
    sign: int


#: Figures of `sim_kp`. `strength` is Brown & Lowe's (2007) n / (8 + 0.3 m) of n inliers among m matches.
KP_FIGURES: Final[Mapping[str, Figure]] = {
    "log_inliers": Figure(lambda e: float(np.log1p(e.inliers)), 1),
    "log_mutual": Figure(lambda e: float(np.log1p(e.mutual)), 1),
    "strength": Figure(lambda e: float(np.log1p(e.inliers / (8.0 + 0.3 * e.tentative))), 1),
    "coverage": Figure(lambda e: e.coverage or 0.0, 1),
    "log_confirmed": Figure(lambda e: float(np.log1p(e.confirmed or 0)), 1),
    "confirmed_share": Figure(lambda e: e.confirmed_share or 0.0, 1),
    "confirmed_cover": Figure(lambda e: e.confirmed_cover or 0.0, 1),
}
#: Figures of `sim_edge`: print, edges, residual displacement, colour.
EDGE_FIGURES: Final[Mapping[str, Figure]] = {
    "print_mid": Figure(lambda e: e.print_mid or 0.0, 1),
    "print_low": Figure(lambda e: e.print_low or 0.0, 1),
    "print_core": Figure(lambda e: e.print_core or 0.0, 1),
    "conflict": Figure(lambda e: e.conflict or 0.0, -1),
    "edge_corr": Figure(lambda e: e.edge_corr or 0.0, 1),
    "log_flow": Figure(lambda e: _log(e.flow, 0.002), -1),
    "flow_agree": Figure(lambda e: e.flow_agree or 0.0, 1),
    "colour_corr": Figure(lambda e: e.colour_corr or 0.0, 1),
    "lab_corr": Figure(lambda e: e.lab_corr or 0.0, 1),
    "log_colour_gap": Figure(lambda e: _log(e.colour_gap, 1.0), -1),
    "log_colour_worst": Figure(lambda e: _log(e.colour_worst, 1.0), -1),
}
#: Fewer keypoints than this in either picture: geometry could not be tried.
MIN_KEYPOINTS: Final = 8


def kp_figures(evidence: PairEvidence) -> F64 | None:
    """The figures of `sim_kp`; None where a picture has too few keypoints for geometry to be tried."""
    if evidence.keypoints < MIN_KEYPOINTS:
        return None
    return np.array([f.read(evidence) for f in KP_FIGURES.values()])


def edge_figures(evidence: PairEvidence) -> F64 | None:
    """The figures of `sim_edge`; None where the frame was not warped onto the product."""
    if evidence.print_mid is None:
        return None
    return np.array([f.read(evidence) for f in EDGE_FIGURES.values()])


def deep_figures(sim_rgb: float | None, sim_gray: float | None) -> F64 | None:
    """The figure of `sim_deep`: the larger cosine; None where there is none."""
    cosines = [c for c in (sim_rgb, sim_gray) if c is not None]
    return np.array([max(cosines)]) if cosines else None


@dataclass(frozen=True)
class Logistic:
    """P = 1 / (1 + exp(-(bias + weights . figures))), clipped to `CLIP`."""

    figures: tuple[str, ...]
    weights: tuple[float, ...]
    bias: float

    def __call__(self, values: F64) -> float:
        z = self.bias + float(np.dot(self.weights, values))
        return float(np.clip(1.0 / (1.0 + np.exp(-z)), *CLIP))


@dataclass(frozen=True)
class Calibration:
    """Coefficients of the three terms for one embedder.

    Attributes:
        name: identifies the file, stored with every match.
        embedder: name of the model whose cosines `deep` was fitted on.
        embedder_key: key of that model, "" where it is not known.
        deep: cosine -> P, or None: a model that is not calibrated has no `sim_deep`.
        kp, edge: geometry -> P and appearance -> P.
        provenance: data, versions and figures of the fit.
    """

    name: str
    embedder: str
    deep: Logistic | None
    kp: Logistic
    edge: Logistic
    embedder_key: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def calibrated(self) -> bool:
        """Whether the embedder's cosine is calibrated; without it no match is accepted."""
        return self.deep is not None


@dataclass(frozen=True)
class Sample:
    """One labelled pair.

    Attributes:
        evidence, sim_rgb, sim_gray: what was measured.
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


def fit_calibration(
    samples: Iterable[Sample],
    embedder: str,
    name: str,
    *,
    embedder_key: str = "",
    provenance: Mapping[str, Any] | None = None,
) -> Calibration:
    """Coefficients that explain labelled pairs.

    Raises:
        InputError: code `calibration.samples`: a term lacks true or false pairs to be fitted on.
    """
    given = list(samples)
    kp = [(kp_figures(s.evidence), s) for s in given]
    edge = [(edge_figures(s.evidence), s) for s in given]
    deep = [(deep_figures(s.sim_rgb, s.sim_gray), s) for s in given]
    true = sum(s.label for s in given)
    return Calibration(
        name=name,
        embedder=embedder,
        deep=_fit_term("sim_deep", deep, ("cosine",), (1,)) if any(v is not None for v, _ in deep) else None,
        kp=_fit_term("sim_kp", kp, tuple(KP_FIGURES), tuple(f.sign for f in KP_FIGURES.values())),
        edge=_fit_term("sim_edge", edge, tuple(EDGE_FIGURES), tuple(f.sign for f in EDGE_FIGURES.values())),
        embedder_key=embedder_key,
        provenance={"true_pairs": true, "false_pairs": len(given) - true, **(provenance or {})},
    )


def _fit_term(
    term: str, rows: Sequence[tuple[F64 | None, Sample]], names: tuple[str, ...], signs: tuple[int, ...]
) -> Logistic:
    known = [(v, s) for v, s in rows if v is not None]
    label = np.array([s.label for _, s in known], bool)
    if label.sum() < 5 or (~label).sum() < 5:
        raise InputError(
            "calibration.samples",
            term,
            f"{int(label.sum())} true and {int((~label).sum())} false pairs are too few to be fitted",
            "Give at least 5 of each",
        )
    # Geometry cannot tell look-alikes apart and is not asked to: there they weigh what they are.
    alike = np.array([term != "sim_kp" and s.evidence.transform is not None for _, s in known], bool)
    values = np.stack([v for v, _ in known])
    weights, bias = fit_logistic(values, label, balanced_weights(label, alike), signs)
    return Logistic(names, tuple(float(w) for w in weights), float(bias))


def balanced_weights(label: npt.NDArray[np.bool_], alike: npt.NDArray[np.bool_]) -> F64:
    """Weights that sum to len(label): true pairs half; look-alikes and other false pairs a quarter."""
    groups = [label, ~label & alike, ~label & ~alike]
    share = [0.5, 0.25, 0.25] if groups[1].any() and groups[2].any() else [0.5, 0.5, 0.5]
    weights = np.zeros(len(label))
    for group, part in zip(groups, share, strict=True):
        if group.any():
            weights[group] = part * len(label) / group.sum()
    return weights


def fit_logistic(
    values: F64, label: npt.NDArray[np.bool_], sample_weights: F64, signs: Sequence[int]
) -> tuple[F64, float]:
    """Ridge logistic regression by Newton's method; a weight against its sign is dropped, the rest refitted.

    Args:
        values: (N, F) figures; label: (N,) bool; sample_weights: (N,); signs: F times +1 or -1.
    Returns:
        ((F,) weights, bias) for the figures as they are, not standardised.
    """
    mean, deviation = values.mean(axis=0), values.std(axis=0) + 1e-9
    unit = (values - mean) / deviation
    active = np.ones(values.shape[1], bool)
    while True:
        weights = np.zeros(values.shape[1])
        solved = _newton(unit[:, active], label, sample_weights)
        weights[active] = solved[:-1]
        wrong = weights * np.asarray(signs) < 0
        if not wrong.any():
            break
        active[int(np.argmin(weights * np.asarray(signs)))] = False
    scaled = weights / deviation
    return scaled, float(solved[-1] - scaled @ mean)


def _newton(unit: F64, label: npt.NDArray[np.bool_], sample_weights: F64) -> F64:
    table = np.c_[unit, np.ones(len(unit))]
    ridge = np.eye(table.shape[1]) * RIDGE
    ridge[-1, -1] = 1e-6
    beta = np.zeros(table.shape[1])
    for _ in range(100):
        p = 1.0 / (1.0 + np.exp(-np.clip(table @ beta, -30, 30)))
        gradient = table.T @ (sample_weights * (p - label)) + ridge @ beta
        curvature = (table * (sample_weights * p * (1 - p))[:, None]).T @ table + ridge
        step = np.linalg.solve(curvature, gradient)
        beta = beta - step
        if np.abs(step).max() < 1e-8:
            break
    return beta


def tune_sum(
    calibration: Calibration, samples: Iterable[Sample], weights: tuple[float, float, float]
) -> Calibration:
    """Sharpens and shifts each term so that the *weighted sum* is a probability.

    A mean of three probabilities is no probability: it shies from 0 and 1. Each term keeps its figures and
    their proportions; a slope and a shift per term are chosen to minimise the Brier score of the sum at the
    balanced prior. Brier is bounded, so a look-alike labelled false that is in truth on the shelf behind
    does not rule the fit.

    Args:
        weights: of sim_deep, sim_kp, sim_edge, as in the rules the score is meant for.
    """
    given = [s for s in samples if kp_figures(s.evidence) is not None]
    logits = np.array([_logits(calibration, s) for s in given])
    label = np.array([s.label for s in given], bool)
    alike = np.array([s.evidence.transform is not None for s in given], bool)
    slopes, shifts = _descend(logits, label, balanced_weights(label, alike), np.asarray(weights))
    terms = (calibration.deep, calibration.kp, calibration.edge)
    deep, kp, edge = (
        None if t is None else Logistic(t.figures, tuple(w * a for w in t.weights), t.bias * a + b)
        for t, a, b in zip(terms, slopes.tolist(), shifts.tolist(), strict=True)
    )
    if kp is None or edge is None:
        raise TypeError("a calibration has geometry and appearance")
    return replace(calibration, deep=deep, kp=kp, edge=edge)


def _logits(calibration: Calibration, sample: Sample) -> list[float]:
    """Logit of each term; NaN where its evidence is missing."""
    figures = (
        deep_figures(sample.sim_rgb, sample.sim_gray),
        kp_figures(sample.evidence),
        edge_figures(sample.evidence),
    )
    terms = (calibration.deep, calibration.kp, calibration.edge)
    return [
        float("nan") if t is None or f is None else t.bias + float(np.dot(t.weights, f))
        for t, f in zip(terms, figures, strict=True)
    ]


def _descend(logits: F64, label: npt.NDArray[np.bool_], sample_weights: F64, weights: F64) -> tuple[F64, F64]:
    """Slope and shift per term by gradient descent with momentum; deterministic, pulled towards (1, 0)."""
    known = np.isfinite(logits)
    z = np.where(known, logits, 0.0)
    share = sample_weights / sample_weights.sum()
    log_slope, shift = np.zeros(3), np.zeros(3)
    speed = np.zeros((2, 3))
    for _ in range(3_000):
        p = 1.0 / (1.0 + np.exp(-np.clip(np.exp(log_slope) * z + shift, -40, 40)))
        error = (np.where(known, p, 0.0) @ weights) - label
        inner = (2 * share * error)[:, None] * weights * known * p * (1 - p)
        pull = PULL * np.stack([log_slope, shift])
        gradient = np.stack([(inner * z).sum(axis=0) * np.exp(log_slope), inner.sum(axis=0)]) + pull
        speed = 0.9 * speed - 1.0 * gradient
        log_slope, shift = log_slope + speed[0], shift + speed[1]
    return np.exp(log_slope), shift


def to_json(calibration: Calibration) -> str:
    """The calibration as the text of its file; `from_json` gives an equal object back."""
    terms = {"deep": calibration.deep, "kp": calibration.kp, "edge": calibration.edge}
    body = {
        "format": FORMAT,
        "name": calibration.name,
        "embedder": calibration.embedder,
        "embedder_key": calibration.embedder_key,
        "terms": {
            k: None
            if t is None
            else {"weights": dict(zip(t.figures, t.weights, strict=True)), "bias": t.bias}
            for k, t in terms.items()
        },
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
            deep=_term(terms.get("deep"), ("cosine",)) if terms.get("deep") else None,
            kp=_term(terms["kp"], tuple(KP_FIGURES)),
            edge=_term(terms["edge"], tuple(EDGE_FIGURES)),
            embedder_key=str(body.get("embedder_key", "")),
            provenance=body.get("provenance", {}),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            "calibration.corrupt",
            subject,
            f"is not a calibration ({error})",
            "Fit it again: pvm evaluate FOLDER --fit FILE",
        ) from error


def _term(body: Mapping[str, Any], figures: tuple[str, ...]) -> Logistic:
    weights = body["weights"]
    if set(weights) != set(figures):
        raise ValueError(f"figures {sorted(weights)} where {sorted(figures)} are measured")
    values = tuple(float(weights[f]) for f in figures)
    if not np.isfinite([*values, float(body["bias"])]).all():
        raise ValueError("a coefficient is not a number")
    return Logistic(figures, values, float(body["bias"]))


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
