"""Mutual nearest neighbours: the matcher that XFeat was published with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pvm_core.arrays import Ints
from pvm_core.ids import content_key
from pvm_core.local_features.base import LocalFeatures


@dataclass(frozen=True)
class MutualNearest:
    """Features that are each other's nearest.

    Attributes:
        least: cosine from which two descriptors may be the same place, [-1, 1].
    """

    least: float = 0.0
    name: str = "mutual"

    @property
    def key(self) -> str:
        """Names the method and its parameter."""
        return content_key("mutual", "1", repr(self.least))

    def match(self, frame: LocalFeatures, products: Sequence[LocalFeatures]) -> list[Ints]:
        """For each product (T, 2) intp: rows of the product's and of the frame's features."""
        return [self._one(frame, product) for product in products]

    def _one(self, frame: LocalFeatures, product: LocalFeatures) -> Ints:
        if not len(frame) or not len(product):
            return np.zeros((0, 2), np.intp)
        cosine = product.descriptors @ frame.descriptors.T
        there, back = cosine.argmax(axis=1), cosine.argmax(axis=0)
        rows = np.arange(len(product))
        kept = rows[(back[there] == rows) & (cosine[rows, there] > self.least)]
        return np.stack([kept, there[kept]], axis=1)
