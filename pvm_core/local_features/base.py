"""What a detector of learned local features and a matcher of them are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pvm_core.arrays import F32, U8, Ints


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """Learned local features of one picture, surest first.

    Attributes:
        xy: (N, 2) float32, pixels of the picture given.
        score: (N,) float32, how sure the network is of each, [0, 1].
        descriptors: (N, D) float32, unit rows.
        width, height: of the picture given, pixels.
    """

    xy: F32
    score: F32
    descriptors: F32
    width: int
    height: int

    def __len__(self) -> int:
        return int(self.xy.shape[0])

    @property
    def nbytes(self) -> int:
        """Bytes that its arrays take."""
        return self.xy.nbytes + self.score.nbytes + self.descriptors.nbytes


class Detector(Protocol):
    """Finds local features.

    Attributes:
        name: as settings say it; key: changes with everything that its features depend on.
    """

    @property
    def name(self) -> str: ...
    @property
    def key(self) -> str: ...

    def detect(self, pictures: Sequence[tuple[U8, U8 | None]]) -> list[LocalFeatures]:
        """Of each picture, (H, W, 3) uint8, with its mask, (H, W) uint8, 255 = product, or None."""
        ...


class Matcher(Protocol):
    """Says which features of two pictures are the same place.

    Attributes:
        name: as settings say it; key: changes with everything that its matches depend on.
    """

    @property
    def name(self) -> str: ...
    @property
    def key(self) -> str: ...

    def match(self, frame: LocalFeatures, products: Sequence[LocalFeatures]) -> list[Ints]:
        """For each product (T, 2) intp: rows of its and of the frame's features, each at most once."""
        ...
