"""What a segmenter is: a picture in, the product's region out, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from pvm_core.arrays import U8

Kind = Literal["product", "frame"]


@dataclass(frozen=True)
class MaskResult:
    """The outcome for one picture.

    Attributes:
        mask: uint8 (H, W), 255 = product, 0 = not; None where no trustworthy mask was found.
        coverage: share of the picture inside the mask, [0, 1]; 1.0 without a mask.
        reason: one word, or words joined by ``-``, saying how the mask came about or why there is none.
    """

    mask: U8 | None
    coverage: float
    reason: str

    @property
    def has_mask(self) -> bool:
        """Whether there is a mask to be used."""
        return self.mask is not None

    @classmethod
    def none(cls, reason: str) -> MaskResult:
        """No mask, for `reason`."""
        return cls(None, 1.0, reason)

    @classmethod
    def of(cls, mask: U8, reason: str) -> MaskResult:
        """A mask with its coverage."""
        return cls(mask, float(np.count_nonzero(mask)) / mask.size, reason)


@runtime_checkable
class Segmenter(Protocol):
    """Finds the product region. `key` names the method with its parameters, weights and version."""

    @property
    def name(self) -> str: ...

    @property
    def key(self) -> str: ...

    def segment(self, rgb: U8, kind: Kind) -> MaskResult:
        """The mask of one picture, uint8 (H, W, 3); never raises for a valid picture."""
        ...
