"""Tentative matches of one frame with its candidates: matrix product, ratio test, mutual check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pvm_core.arrays import F32, Bools, Ints


@dataclass(frozen=True, eq=False)
class Tentative:
    """Tentative matches of one product picture with one frame, in the frame's order.

    Attributes:
        product, frame: (T,) indices into the keypoints of either picture.
        distance: (T,) float32, descriptor distance of the match.
        ratio: (T,) float32, that distance over the second nearest one in the product picture.
        mutual: (T,) bool, whether the frame keypoint is also the product keypoint's nearest.
    """

    product: Ints
    frame: Ints
    distance: F32
    ratio: F32
    mutual: Bools

    def __len__(self) -> int:
        return len(self.product)


NOTHING = Tentative(
    np.zeros(0, np.intp),
    np.zeros(0, np.intp),
    np.zeros(0, np.float32),
    np.zeros(0, np.float32),
    np.zeros(0, np.bool_),
)


def match_frame(frame: F32, products: Sequence[F32], ratio: float) -> list[Tentative]:
    """Frame keypoints whose nearest product keypoint is clearly nearer than the second (Lowe 2004).

    The test runs from the frame to the product, so several instances of a product in one frame all match.

    Args:
        frame: (N, D) float32 unit rows.
        products: one (M_i, D) float32 array of unit rows a candidate.
        ratio: (0, 1), largest nearest/second distance ratio.
    """
    if len(frame) < 2:
        return [NOTHING] * len(products)
    # One product a block: a table of 1000 x 1000 stays in the cache, one of all candidates does not.
    return [_match_block(frame @ p.T, ratio) if len(p) >= 2 else NOTHING for p in products]


def _match_block(sims: F32, ratio: float) -> Tentative:
    rows = np.arange(len(sims))
    nearest = sims.argmax(axis=1)
    first = sims[rows, nearest]
    sims[rows, nearest] = -2.0
    second = sims.max(axis=1)
    sims[rows, nearest] = first
    near, far = np.maximum(2 - 2 * first, 1e-9), np.maximum(2 - 2 * second, 1e-9)
    kept = np.flatnonzero(near < np.float32(ratio * ratio) * far)
    product = nearest[kept]
    back = sims[:, product].argmax(axis=0)
    return Tentative(
        product,
        kept,
        np.sqrt(near[kept]).astype(np.float32),
        np.sqrt(near[kept] / far[kept]).astype(np.float32),
        back == kept,
    )
