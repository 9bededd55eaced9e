"""One frame against its candidates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pvm_core.verification.types import PairEvidence, VerifyParams, View


def verify(frame: View, product: View, params: VerifyParams) -> PairEvidence:
    """`verify_frame` with a single candidate."""
    return verify_frame(frame, [product], params)[0]


def verify_frame(frame: View, products: Sequence[View], params: VerifyParams) -> list[PairEvidence]:
    """Raw figures of one frame against each of its candidates, in their order; cheap exits first."""
    return [_verify_one(frame, p, params) for p in products]


def _verify_one(frame: View, product: View, params: VerifyParams) -> PairEvidence:
    import cv2

    a, b = product.keypoints.root, frame.keypoints.root
    if len(a) < 2 or len(b) < 2:
        return PairEvidence(0, 0)
    sim = b @ a.T
    best = sim.argmax(axis=1)
    top = np.sort(np.partition(sim, -2, axis=1)[:, -2:], axis=1)
    distance = np.sqrt(np.maximum(0, 2 - 2 * top))
    good = (distance[:, 1] < params.ratio * distance[:, 0]) & (sim.argmax(axis=0)[best] == np.arange(len(b)))
    rows = np.flatnonzero(good)
    if len(rows) < params.min_inliers:
        return PairEvidence(len(rows), 0)
    src, dst = product.keypoints.xy[best[rows]], frame.keypoints.xy[rows]
    matrix, ok = cv2.findHomography(src, dst, cv2.USAC_MAGSAC, 5.0, maxIters=2000, confidence=0.999)
    if matrix is None or int(ok.sum()) < params.min_inliers or np.linalg.det(matrix) <= 0:
        return PairEvidence(len(rows), 0)
    kept = ok.ravel().astype(bool)
    w, h = product.keypoints.width, product.keypoints.height
    corners = np.array([[[0, 0], [w, 0], [w, h], [0, h]]], np.float32)
    quad = cv2.perspectiveTransform(corners, matrix)[0]
    area = float(abs(cv2.contourArea(quad)))
    return PairEvidence(
        tentative=len(rows),
        inliers=int(kept.sum()),
        model="homography",
        transform=tuple(float(v) for v in matrix.ravel()),
        quad=tuple(float(v) for v in quad.ravel()),
        scale=float(np.sqrt(area / (w * h))),
        points_product=tuple((float(x), float(y)) for x, y in src[kept][:60]),
        points_frame=tuple((float(x), float(y)) for x, y in dst[kept][:60]),
    )
