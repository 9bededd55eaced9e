"""The second verifier: do learned local features of a frame agree with those of a product picture?

Dearer than print (`pvm_core.verification.pairs`) and of use where there is none: it is asked only about pairs
that print leaves in doubt. Detector and matcher are named by settings (`pvm_core.local_features`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np

from pvm_core.arrays import F32, F64, Bools, Ints
from pvm_core.local_features.base import LocalFeatures, Matcher
from pvm_core.verification import geometry
from pvm_core.verification.learned_evidence import DRAWN, LearnedEvidence

#: How far a match may lie from where a similarity puts it, as a share of the matched places' side in the
#: frame, and bounds in frame pixels. Loose: a plush toy from another side obeys no plane. Recall at 1 % false
#: on photos of such objects: 0.82, with a homography of 8 or 16 pixels 0.71 or 0.76 (docs/accuracy.md).
FIT_TOL: Final = 0.08
FIT_TOL_PX: Final = (4.0, 60.0)
#: Side of the matched places, in their standard deviations: that of a square filled evenly is 3.5.
_SPREAD: Final = 3.0
_ITERATIONS: Final = 1_000
_CONFIDENCE: Final = 0.999


def compare_learned(
    frame: LocalFeatures, products: Sequence[LocalFeatures], matcher: Matcher
) -> list[LearnedEvidence]:
    """The evidence of one frame and each product picture, in their order."""
    found = matcher.match(frame, products)
    return [_one(frame, product, pairs) for product, pairs in zip(products, found, strict=True)]


def _one(frame: LocalFeatures, product: LocalFeatures, pairs: Ints) -> LearnedEvidence:
    fitted = _similarity(product.xy[pairs[:, 0]], frame.xy[pairs[:, 1]])
    if fitted is None:
        return LearnedEvidence(len(pairs), 0)
    matrix, kept = fitted
    inliers = pairs[kept]
    drawn = inliers[np.linspace(0, len(inliers) - 1, min(DRAWN, len(inliers))).astype(int)]
    return LearnedEvidence(
        matches=len(pairs),
        inliers=len(inliers),
        coverage=geometry.spread(product.xy, inliers[:, 0]),
        transform=tuple(float(v) for v in matrix.ravel()),
        footprint=geometry.outline(frame.xy[inliers[:, 1]]),
        points_product=_points(product.xy[drawn[:, 0]]),
        points_frame=_points(frame.xy[drawn[:, 1]]),
    )


def _similarity(src: F32, dst: F32) -> tuple[F64, Bools] | None:
    """(3, 3) product -> frame, and which matches it explains; None where none is found."""
    import cv2

    if len(src) < 3:
        return None
    side = max(_SPREAD * float(dst.std(axis=0).max()), 1.0)
    tol = float(np.clip(FIT_TOL * side, *FIT_TOL_PX))
    # OpenCV seeds its draws: the same matches give the same matrix.
    found: Any = cv2.estimateAffinePartial2D(
        src, dst, method=cv2.RANSAC, ransacReprojThreshold=tol, maxIters=_ITERATIONS, confidence=_CONFIDENCE
    )
    matrix, kept = found
    if matrix is None or not kept.any():
        return None
    return cast(F64, np.vstack([matrix, [0.0, 0.0, 1.0]])), kept.ravel().astype(bool)


def _points(xy: F32) -> tuple[tuple[float, float], ...]:
    return tuple((round(float(x), 1), round(float(y), 1)) for x, y in xy)
