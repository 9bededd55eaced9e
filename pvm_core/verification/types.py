"""What is compared, how, and what is found: parameters, one picture's view, one pair's raw figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from pvm_core.errors import StoreError
from pvm_core.ids import content_key
from pvm_core.keypoints import Keypoints

if TYPE_CHECKING:
    from pvm_core.rules import Rules

Model = Literal["homography", "affine", "epipolar", "none"]
Points = tuple[tuple[float, float], ...]

#: Raise where `verify` returns other figures for the same pair and parameters: it is part of the key.
VERSION: Final = "1"


@dataclass(frozen=True)
class VerifyParams:
    """How a pair is verified.

    Attributes:
        ratio: nearest over second nearest descriptor distance a tentative match may have, (0, 1).
        min_inliers: inliers below which no transform is believed.
        appearance: whether edges and colour are compared after the warp.
    """

    ratio: float = 0.85
    min_inliers: int = 8
    appearance: bool = True

    @property
    def key(self) -> str:
        """Names the method, its parameters and its version (16 hex)."""
        return content_key("verify", VERSION, *(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self)))

    @classmethod
    def from_rules(cls, rules: Rules) -> VerifyParams:
        """The parameters that `rules` ask for."""
        return cls(min_inliers=rules.min_inliers, appearance=rules.edge_term)


@dataclass(frozen=True, eq=False)
class View:
    """One picture ready to be compared.

    Attributes:
        keypoints: of this picture; `xy` in its pixels.
        rgb: (H, W, 3) uint8, the stored picture.
        mask: (H, W) uint8, 255 = product, or None.
    """

    keypoints: Keypoints
    rgb: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class PairEvidence:
    """Raw figures of one frame and one product picture; None = not measurable, never a default.

    Attributes:
        tentative: descriptor matches before geometry.
        inliers: of them, those one transform explains, each product keypoint counted once.
        model: what `transform` is; `none` where no sane transform was found.
        transform: row-major 3x3, product pixels -> frame pixels (both of the stored pictures).
        quad: the product picture's corners in the frame, x0 y0 .. x3 y3, clockwise from top left.
        coverage: share of the product's area the inliers spread over, [0, 1].
        rms: root mean square reprojection error of the inliers, frame pixels.
        scale: frame pixels per product pixel (root of the area ratio).
        edge_corr: correlation of edges after the warp, [-1, 1].
        colour_corr: correlation of colour after the warp, [-1, 1].
        points_product, points_frame: the inliers (at most 60, spread), for drawing.
    """

    tentative: int
    inliers: int
    model: Model = "none"
    transform: tuple[float, ...] | None = None
    quad: tuple[float, ...] | None = None
    coverage: float | None = None
    rms: float | None = None
    scale: float | None = None
    edge_corr: float | None = None
    colour_corr: float | None = None
    points_product: Points = ()
    points_frame: Points = ()


def evidence_to_row(evidence: PairEvidence) -> dict[str, Any]:
    """The figures as JSON-able values; `evidence_from_row` gives an equal object back."""
    row = {f.name: getattr(evidence, f.name) for f in fields(evidence)}
    return {k: _plain(v) for k, v in row.items() if v is not None and v != ()}


def evidence_from_row(row: Mapping[str, Any]) -> PairEvidence:
    """Figures written by `evidence_to_row`.

    Raises:
        StoreError: code `evidence.corrupt`: a figure is missing or unknown.
    """
    try:
        return PairEvidence(**{k: _frozen(v) for k, v in row.items()})
    except TypeError as error:
        raise StoreError(
            "evidence.corrupt", "pair evidence", f"cannot be read ({error})", "Run the job again"
        ) from error


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
