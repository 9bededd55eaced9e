"""What an embedder is: pictures in, unit rows out, several views of one picture where that helps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from pvm_core.arrays import F32, U8

Kind = Literal["product", "frame"]


@dataclass(frozen=True)
class EmbedInput:
    """One picture to be embedded.

    Attributes:
        rgb: uint8 (H, W, 3).
        mask: uint8 (H, W), 255 = product, 0 = not; None where there is no trustworthy mask.
    """

    rgb: U8
    mask: U8 | None = None


@dataclass(frozen=True)
class Views:
    """The vectors of one picture; view 0 is the whole picture, the rest are parts of it.

    Attributes:
        rgb: float32 (V, dim), unit rows.
        gray: float32 (V, dim), the same views of the grey picture; None without them.
    """

    rgb: F32
    gray: F32 | None = None


@runtime_checkable
class Embedder(Protocol):
    """A picture embedder. `key` names the method with its parameters, weights and version."""

    @property
    def name(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def dim(self) -> int: ...

    @property
    def batch_size(self) -> int:
        """Pictures a call handles best at once."""
        ...

    @property
    def device(self) -> str:
        """Where it computes: ``cpu`` or ``cuda``."""
        ...

    def embed_views(self, inputs: Sequence[EmbedInput], kind: Kind, gray: bool) -> list[Views]:
        """The views of each picture; products and frames may have different numbers of views."""
        ...


def embed_views(embedder: Embedder, inputs: Sequence[EmbedInput], kind: Kind, gray: bool) -> list[Views]:
    """The views of each picture, `embedder.batch_size` pictures at a time.

    The similarity of a frame and a product picture is the greatest inner product over their views, taken
    apart for rgb and gray; a candidate's similarity is the greater of the two.

    Args:
        embedder: any embedder.
        inputs: the pictures; all are held by the caller, so a long job passes them in chunks.
        kind: frames carry parts as further views, product pictures the whole alone.
        gray: also embed the grey picture (grey + CLAHE).

    Returns:
        One `Views` a picture, in order. One call returns rgb and gray, since they may share work.
    """
    return [
        views
        for batch in batched(inputs, embedder.batch_size)
        for views in embedder.embed_views(batch, kind, gray)
    ]


def batched(inputs: Sequence[EmbedInput], size: int) -> Iterator[Sequence[EmbedInput]]:
    """`inputs` cut into runs of at most `size`."""
    for start in range(0, len(inputs), size):
        yield inputs[start : start + size]


def unit_rows(rows: F32) -> F32:
    """Rows scaled to length 1, float32; a row of zeros becomes the unit vector along the first axis.

    A zero row would make cosine distance undefined in the database; the first axis is a fixed, valid stand-in
    which only other pictures without any content share.
    """
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    out = np.divide(rows, norms, out=np.zeros_like(rows, dtype=np.float32), where=norms > 1e-12)
    out[norms[:, 0] <= 1e-12, 0] = 1.0
    return np.ascontiguousarray(out, dtype=np.float32)
