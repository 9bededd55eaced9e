"""One frame against its candidates: pose, transform, appearance, each only where the last one passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import numpy as np

from pvm_core.arrays import F32
from pvm_core.verification import appearance, geometry, local, patches, reprinted
from pvm_core.verification.matching import Tentative, match_frame
from pvm_core.verification.mirror import clearer, mirrored_view, unmirrored
from pvm_core.verification.types import PairEvidence, VerifyParams, View

#: Inliers kept for drawing.
DRAWN: Final = 60
#: Agreeing points and print from which a pair may be a sibling's: only there is it worth 20 ms to look for
#: the region that differs. A crumpled pack of the demo beside its sibling of another band has 0.38.
LOCAL_INLIERS: Final = 10
LOCAL_PRINT: Final = 0.25
#: Print from which strokes are worth 18 ms to compare.
STROKE_PRINT: Final = 0.6


def verify_frame(frame: View, products: Sequence[View], params: VerifyParams) -> list[PairEvidence]:
    """Raw measurements of one frame against each of its candidates, in their order; cheap exits first.

    A pair's evidence does not depend on the other candidates, so it is stored and reused.
    """
    tentative = match_frame(frame.rows, [p.rows for p in products], params.ratio)
    return [_one(frame, p, t, params) for p, t in zip(products, tentative, strict=True)]


def verify_mirrored(
    frame: View, products: Sequence[View], plain: Sequence[PairEvidence], params: VerifyParams
) -> list[PairEvidence]:
    """The clearer of two looks at each pair: that in `plain`, and the one at the mirrored frame."""
    found = verify_frame(mirrored_view(frame), products, params)
    turned = (unmirrored(one, frame.keypoints.width) for one in found)
    return [clearer(one, other) for one, other in zip(plain, turned, strict=True)]


def _one(frame: View, product: View, t: Tentative, params: VerifyParams) -> PairEvidence:
    kp_product, kp_frame = product.keypoints, frame.keypoints
    size = min(len(kp_product), len(kp_frame))
    pose = geometry.cluster_poses(kp_product, kp_frame, t)
    if pose is None or pose.votes < params.gate:
        return PairEvidence(len(t), 0, keypoints=size, votes=pose.votes if pose else 0)
    fitted = geometry.fit(kp_product, kp_frame, t, pose, params.gate)
    if fitted is None:
        return PairEvidence(len(t), 0, keypoints=size, votes=pose.votes)
    matrix, seen = fitted.matrix, None
    matched = kp_product.xy[t.product[fitted.members]]
    if params.appearance:
        compared = appearance.compare(product.canvas, frame.pyramid, matrix, matched)
        if compared is not None:
            seen = compared[0]
            if geometry.is_plausible(compared[1], kp_product.width, kp_product.height):
                matrix = compared[1]
    printed = 0.0
    if seen is not None and len(fitted.members) >= LOCAL_INLIERS:
        printed = seen.print_mid or 0.0
    coarse = patches.lay_over(product, frame, matrix, local.SIDE) if printed >= LOCAL_PRINT else None
    fine = patches.lay_over(product, frame, matrix, reprinted.SIDE) if printed >= STROKE_PRINT else None
    differs = None if coarse is None else local.recoloured(coarse, matched)
    other = None if fine is None else reprinted.reprinted(fine, matched)
    confirmed, share, cover = geometry.guided_matching(kp_product, kp_frame, matrix)
    quad = geometry.project(matrix, geometry.corners_of(kp_product.width, kp_product.height))
    drawn = fitted.members[
        np.linspace(0, len(fitted.members) - 1, min(DRAWN, len(fitted.members))).astype(int)
    ]
    return PairEvidence(
        tentative=len(t),
        inliers=len(fitted.members),
        keypoints=size,
        votes=pose.votes,
        mutual=int(t.mutual[fitted.members].sum()),
        model=fitted.model,
        transform=tuple(float(v) for v in matrix.ravel()),
        quad=tuple(float(v) for v in quad.ravel()),
        coverage=fitted.coverage,
        rms=fitted.rms,
        scale=float(np.exp(pose.log_scale)),
        confirmed=confirmed,
        confirmed_share=share,
        confirmed_cover=cover,
        footprint=geometry.outline(kp_frame.xy[t.frame[fitted.members]]),
        points_product=_points(kp_product.xy[t.product[drawn]]),
        points_frame=_points(kp_frame.xy[t.frame[drawn]]),
        recolour=None if differs is None else differs.distance,
        recolour_at=None if differs is None else differs.outline,
        reprint=None if other is None else other.area,
        reprint_at=None if other is None else other.outline,
        **({} if seen is None else asdict(seen)),
    )


def _points(xy: F32) -> tuple[tuple[float, float], ...]:
    return tuple((round(float(x), 1), round(float(y), 1)) for x, y in xy)
