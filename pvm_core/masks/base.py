"""What a segmenter is: a picture in, the product's region out, or an honest no."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from threading import Thread
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Kind = Literal["product", "frame"]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class MaskResult:
    """The outcome for one picture.

    Attributes:
        mask: uint8 (H, W), 255 = product, 0 = not; None where no trustworthy mask was found.
        coverage: share of the picture inside the mask, [0, 1]; 1.0 without a mask.
        reason: one word, or words joined by ``-``, saying how the mask came about or why there is none.
    """

    mask: Bytes | None
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
    def of(cls, mask: Bytes, reason: str) -> MaskResult:
        """A mask with its coverage."""
        return cls(mask, float(np.count_nonzero(mask)) / mask.size, reason)


@runtime_checkable
class Segmenter(Protocol):
    """Finds the product region. `key` names the method with its parameters, weights and version."""

    @property
    def name(self) -> str: ...

    @property
    def key(self) -> str: ...

    def segment(self, rgb: Bytes, kind: Kind) -> MaskResult:
        """The mask of one picture, uint8 (H, W, 3); never raises for a valid picture."""
        ...


def with_timeout(call: Callable[[], MaskResult], seconds: float) -> MaskResult:
    """`call()`, or no mask with reason ``timeout`` after `seconds`; works from any thread.

    Python cannot stop a thread: a call that ran out of time ends in the background and its result is dropped.
    """
    outcome: Future[MaskResult] = Future()

    def work() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 - carried to the caller, who meets it there
            outcome.set_exception(error)

    Thread(target=work, name="segment", daemon=True).start()
    try:
        return outcome.result(seconds)
    except FutureTimeout:
        return MaskResult.none("timeout")
