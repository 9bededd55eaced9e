"""Exact retrieval: the K product pictures nearest to each frame, by matrix products in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pvm_core.arrays import F32, Ints

if TYPE_CHECKING:
    from pvm_core.embedders import Views


@dataclass(frozen=True, eq=False)
class Gallery:
    """All views of the product pictures searched in.

    Attributes:
        starts: (N,) intp, the first row of each picture; rows of one picture lie side by side.
        rgb: float32 (V, dim), unit rows; gray: the same of the grey pictures, or None.
    """

    starts: Ints
    rgb: F32
    gray: F32 | None

    def __len__(self) -> int:
        return len(self.starts)

    @classmethod
    def of(cls, pictures: Sequence[Views]) -> Gallery:
        """The gallery of some pictures, in their order; without grey vectors where any picture has none."""
        starts = np.cumsum([0, *(len(p.rgb) for p in pictures)])[:-1]
        grey = [p.gray for p in pictures if p.gray is not None]
        whole = np.concatenate(grey) if len(grey) == len(pictures) else None
        return cls(starts.astype(np.intp), np.concatenate([p.rgb for p in pictures]), whole)


@dataclass(frozen=True, eq=False)
class Nearest:
    """The nearest pictures of some frames, best first.

    Attributes:
        index: (F, K) intp, rows of the gallery's pictures.
        similarity: (F, K) float32, the greater of both cosines; rgb, gray: each of them, gray None without.
    """

    index: Ints
    similarity: F32
    rgb: F32
    gray: F32 | None


def ranked(nearest: Nearest) -> Iterator[tuple[int, int, int, float, float | None, float]]:
    """Each frame's candidates, best first: row of the frame, row of the picture, rank from 1, colour cosine,
    grey cosine or None, the greater of both."""
    for frame, row in enumerate(nearest.index):
        for place, picture in enumerate(row):
            gray = None if nearest.gray is None else float(nearest.gray[frame, place])
            rgb, similarity = float(nearest.rgb[frame, place]), float(nearest.similarity[frame, place])
            yield frame, int(picture), place + 1, rgb, gray, similarity


def first_rows(owners: Sequence[Any]) -> Ints:
    """Where each owner's rows begin, for rows that lie side by side."""
    return np.array([i for i, o in enumerate(owners) if i == 0 or o != owners[i - 1]], np.intp)


def search(gallery: Gallery, starts: Ints, rgb: F32, gray: F32 | None, k: int) -> Nearest:
    """The `k` pictures nearest to each frame; equal similarities keep the gallery's order.

    The cosine of a frame and a picture is the greatest over their views.

    Args:
        starts: (F,) the first row of each frame in `rgb`.
        rgb: float32 (R, dim), unit rows; gray: likewise, or None.
        k: pictures a frame, at most those there are.
    """
    in_rgb = _best_views(gallery.rgb, gallery.starts, rgb, starts)
    both = gallery.gray is not None and gray is not None
    in_gray = _best_views(gallery.gray, gallery.starts, gray, starts) if both else None  # type: ignore[arg-type]
    total = in_rgb if in_gray is None else np.maximum(in_rgb, in_gray)
    k = min(k, total.shape[1])
    index = _top(total, k)
    return Nearest(
        index,
        np.take_along_axis(total, index, 1),
        np.take_along_axis(in_rgb, index, 1),
        None if in_gray is None else np.take_along_axis(in_gray, index, 1),
    )


def _best_views(gallery: F32, picture_starts: Ints, rows: F32, starts: Ints) -> F32:
    cosines = rows @ gallery.T
    per_picture = np.maximum.reduceat(cosines, picture_starts, axis=1)
    best: F32 = np.maximum.reduceat(per_picture, starts, axis=0)
    # Rounding may carry the product of unit vectors past 1.
    return np.clip(best, -1.0, 1.0)


def _top(total: F32, k: int) -> Ints:
    if k < total.shape[1]:
        # All that is as good as the k-th takes part in the stable sort: ties must not depend on partition.
        kth = np.partition(total, total.shape[1] - k, axis=1)[:, total.shape[1] - k]
        total = np.where(total >= kth[:, None], total, -2.0)
    return np.argsort(-total, axis=1, kind="stable")[:, :k]
