"""Tentative matches of one frame with its candidates: matrix product, ratio test, mutual check.

Nine of ten frame keypoints match nothing. A product of small integers, a seventh of the price of one of
floats, tells which those are; only the rest are compared exactly, so that the matches are those of the exact
product alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final, cast

import numpy as np

from pvm_core.arrays import F32, U8, Bools, Ints
from pvm_core.built_graph import session
from pvm_core.graph_builder import GraphBuilder

#: Largest integer of a coarse descriptor. Seven bits on both sides: processors without VNNI add two products
#: in 16 bits, which eight bits overflow.
_TOP: Final = 127
#: What rounding may add to a nearest cosine and take from the second. Of 34,185 keypoints of clips that pass
#: the ratio test 2 need more than 0.003 and none more than 0.004.
_ROUNDING: Final = 0.006


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


@dataclass(frozen=True, eq=False)
class UnitRows:
    """Descriptors of one picture, ready to be compared.

    Attributes:
        exact: (N, D) float32 unit rows.
    """

    exact: F32

    def __len__(self) -> int:
        return len(self.exact)

    @cached_property
    def scale(self) -> float:
        """Integers per unit of the coarse rows; 0 where there are none: rows with negative values."""
        return _TOP / float(self.exact.max()) if self.exact.size and float(self.exact.min()) >= 0.0 else 0.0

    @cached_property
    def coarse(self) -> U8:
        """(N, D) uint8, at most `_TOP`: the rows times `scale`, rounded; made once."""
        return cast(U8, np.rint(self.exact * np.float32(self.scale)).astype(np.uint8))

    @cached_property
    def coarse_columns(self) -> Any:
        """(D, N) int8, the coarse rows as columns; made once."""
        return np.ascontiguousarray(self.coarse.T).view(np.int8)


def match_frame(frame: UnitRows, products: Sequence[UnitRows], ratio: float) -> list[Tentative]:
    """Frame keypoints whose nearest product keypoint is clearly nearer than the second (Lowe 2004).

    The test runs from the frame to the product, so several instances of a product in one frame all match.

    Args:
        frame: of the frame.
        products: of each candidate.
        ratio: (0, 1), largest nearest/second distance ratio.
    """
    if len(frame) < 2:
        return [NOTHING] * len(products)
    # One product at a time: a table of 1000 x 1000 stays in the cache, one of all candidates does not.
    return [_match(frame, p, ratio) if len(p) >= 2 else NOTHING for p in products]


def _match(frame: UnitRows, product: UnitRows, ratio: float) -> Tentative:
    rows = _possible(frame, product, ratio) if frame.scale and product.scale else np.arange(len(frame))
    sims = frame.exact[rows] @ product.exact.T
    nearest, first, second = _two_best(sims)
    near, far = np.maximum(2 - 2 * first, 1e-9), np.maximum(2 - 2 * second, 1e-9)
    kept = np.flatnonzero(near < np.float32(ratio * ratio) * far)
    matched, found = nearest[kept], rows[kept]
    back = (product.exact[matched] @ frame.exact.T).argmax(axis=1)
    return Tentative(
        matched,
        found,
        np.sqrt(near[kept]).astype(np.float32),
        np.sqrt(near[kept] / far[kept]).astype(np.float32),
        back == found,
    )


def _possible(frame: UnitRows, product: UnitRows, ratio: float) -> Ints:
    """Rows of the frame that may pass the ratio test, by the coarse product."""
    (table,) = _integer_product().run(None, {"rows": frame.coarse, "columns": product.coarse_columns})
    _, first, second = _two_best(table)
    unit = frame.scale * product.scale
    near, far = 2 - 2 * (first / unit + _ROUNDING), 2 - 2 * (second / unit - _ROUNDING)
    return np.flatnonzero(near < ratio * ratio * far)


def _two_best(table: Any) -> tuple[Ints, Any, Any]:
    """Of each row the column of its greatest value, that value, and the next; the table is left changed."""
    rows = np.arange(len(table))
    nearest = table.argmax(axis=1)
    first = table[rows, nearest]
    table[rows, nearest] = -2
    return nearest, first, table.max(axis=1)


@cache
def _integer_product() -> Any:
    """ONNX Runtime's product of (N, D) uint8 and (D, M) int8; NumPy's of integers uses no BLAS."""
    from onnx import TensorProto

    built = GraphBuilder({})
    built.node("MatMulInteger", ["rows", "columns"], "table")
    inputs = {"rows": ["N", "D"], "columns": ["D", "M"]}
    kinds = {"rows": TensorProto.UINT8, "columns": TensorProto.INT8, "table": TensorProto.INT32}
    return session(built.serialised("integer product", inputs, {"table": ["N", "M"]}, kinds))
