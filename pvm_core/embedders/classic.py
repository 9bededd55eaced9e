"""The weight-free embedder: a VLAD of RootSIFT and a colour signature, of a picture and parts of it.

Measured with `bench/bench_embedders.py`. Tried and left out: gradient layout (HOG of the same views: recall@1
8 % and @20 41 % alone on 178 case frames among 76 products, where the rest has 80 % and 97 %; added with 20 %
of the similarity it takes five points of @1, with 5 % it changes nothing), colour layout of the whole picture
(clutter drowns it), CLAHE before SIFT (it lifts compression noise), PCA whitening and random projection of a
longer VLAD (at equal length both find less than a VLAD of fewer words), second-order VLAD, nine tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np

from pvm_core.arrays import F32, U8, Ints
from pvm_core.embedders.base import EmbedInput, Kind, Views, unit_rows
from pvm_core.embedders.codebook import Codebook, shipped
from pvm_core.embedders.views import FRAME_VIEWS, Box, boxes_for, crop_to_content
from pvm_core.ids import content_key

#: Cells of the colour signature: lightness, a, b (trilinear, so one more node than cells on each axis).
_COLOUR_CELLS: Final = (2, 8, 8)
#: Side in pixels of the thumbnail whose colours are counted.
_THUMB: Final = 48


@dataclass(frozen=True)
class ClassicParams:
    """Parameters of the `classic` embedder.

    Attributes:
        side: longest side in pixels at which local features are found.
        keypoints: strongest keypoints used.
        contrast: SIFT's contrast threshold, as OpenCV counts it; half its default, for print under glare.
        colour_weight: share of the similarity that colour has, [0, 1].
        colour_power: power law on the colour histogram; small values lift small saturated areas.
        chroma_half: chroma (Lab units) at which a pixel counts half; greys hardly count.
        chroma_max: chroma at the edge of the histogram, Lab units.
        white_balance: share of the picture's median colour cast that is taken away, [0, 1].
    """

    side: int = 320
    keypoints: int = 250
    contrast: float = 0.02
    colour_weight: float = 0.05
    colour_power: float = 0.35
    chroma_half: float = 25.0
    chroma_max: float = 60.0
    white_balance: float = 0.5


@dataclass(frozen=True)
class _Local:
    """Local features: word (N,) int, residual (N, p) unit rows, place (N, 2) as fractions of the crop."""

    word: Ints
    residual: F32
    place: F32


@dataclass(frozen=True)
class ClassicEmbedder:
    """Weight-free embedder, after Jégou et al. 2010 (VLAD) and Arandjelović, Zisserman 2012 and 2013.

    The local block reads lightness only, so `gray` views share it at no cost and just leave colour out.
    """

    codebook: Codebook = field(default_factory=shipped, repr=False)
    params: ClassicParams = ClassicParams()
    name: str = "classic"
    batch_size: int = 32
    device: str = "cpu"

    @property
    def dim(self) -> int:
        """Length of a vector: local block, then colour block."""
        return self.codebook.local_dim + int(self.codebook.colour_mean.size)

    @property
    def key(self) -> str:
        """Changes with the version, any parameter, the views and the codebook."""
        values = [f"{f.name}={getattr(self.params, f.name)!r}" for f in fields(self.params)]
        return content_key(
            "embedder", self.name, "1", repr(FRAME_VIEWS), repr(_COLOUR_CELLS), self.codebook.digest, *values
        )

    def embed_views(self, inputs: Sequence[EmbedInput], kind: Kind, gray: bool) -> list[Views]:
        """One view of a product picture, `FRAME_VIEWS` of a frame."""
        return [self._views(item, kind, gray) for item in inputs]

    def _views(self, item: EmbedInput, kind: Kind, gray: bool) -> Views:
        rgb, mask = crop_to_content(item)
        boxes = boxes_for(kind, *rgb.shape[:2])
        found = _local_features(rgb, mask, self.codebook, self.params)
        local = np.stack([_vlad(found, box, self.codebook) for box in boxes])
        colour = _colour_signatures(rgb, mask, boxes, self.codebook.colour_mean, self.params)
        weight = self.params.colour_weight
        both = np.concatenate([np.sqrt(1 - weight) * local, np.sqrt(weight) * colour], axis=1)
        alone = np.concatenate([local, np.zeros_like(colour)], axis=1)
        return Views(unit_rows(both), unit_rows(alone) if gray else None)


def _local_features(rgb: U8, mask: U8 | None, codebook: Codebook, params: ClassicParams) -> _Local:
    """The strongest SIFT keypoints as visual words and residuals."""
    import cv2

    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    h, w = grey.shape
    scale = params.side / max(h, w)
    size = (max(16, round(w * scale)), max(16, round(h * scale)))
    grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    allowed = None if mask is None else cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    library: Any = cv2  # its type stubs leave SIFT out
    sift = library.SIFT_create(params.keypoints, contrastThreshold=params.contrast)
    points, descriptors = sift.detectAndCompute(grey, allowed)
    if descriptors is None or not len(points):
        width = codebook.words.shape[1]
        return _Local(np.zeros(0, np.intp), np.zeros((0, width), np.float32), np.zeros((0, 2), np.float32))
    # OpenCV keeps all that tie with the last one; the cut makes the count a bound.
    order = np.argsort([-p.response for p in points], kind="stable")[: params.keypoints]
    corners = np.array([points[i].pt for i in order], dtype=np.float32).reshape(-1, 2)
    place = np.asarray(corners / np.array(size, dtype=np.float32), dtype=np.float32)
    word, residual = encode(descriptors[order], codebook)
    return _Local(word, residual, place)


def root_sift(descriptors: F32) -> F32:
    """RootSIFT (Arandjelović and Zisserman 2012): L1-normalised, square root; unit rows (N, 128)."""
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-9)
    return np.asarray(np.sqrt(descriptors / total), dtype=np.float32)


def encode(descriptors: F32, codebook: Codebook) -> tuple[Ints, F32]:
    """Nearest word (N,) and unit residual (N, p) of SIFT descriptors (N, 128)."""
    projected = (root_sift(descriptors) - codebook.mean) @ codebook.projection
    words = codebook.words
    nearest = np.argmin((words**2).sum(axis=1) - 2.0 * (projected @ words.T), axis=1)
    residual = projected - words[nearest]
    residual /= np.maximum(np.linalg.norm(residual, axis=1, keepdims=True), 1e-9)
    return nearest, residual.astype(np.float32)


def _vlad(local: _Local, box: Box, codebook: Codebook) -> F32:
    """Residuals summed per word, square-rooted, normalised per word, then all; zeros without features."""
    x0, y0, x1, y1 = box
    x, y = local.place[:, 0], local.place[:, 1]
    inside = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    member = local.word[inside][None, :] == np.arange(len(codebook.words))[:, None]
    sums = member.astype(np.float32) @ local.residual[inside]
    sums = np.sign(sums) * np.sqrt(np.abs(sums))
    sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    flat = sums.ravel()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-9), dtype=np.float32)


def colour_histograms(rgb: U8, mask: U8 | None, boxes: Sequence[Box], params: ClassicParams) -> F32:
    """float32 (len(boxes), c), unit rows: how much saturated colour of each kind each part holds."""
    import cv2

    thumb = cv2.resize(rgb, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(thumb.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab)
    ab = lab[..., 1:] - params.white_balance * np.median(lab[..., 1:], axis=(0, 1))
    chroma = np.hypot(ab[..., 0], ab[..., 1])
    weight = chroma / (chroma + params.chroma_half)
    if mask is not None:
        inside = cv2.resize(mask, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA) > 127
        weight = weight * inside if inside.any() else weight
    scaled = np.stack([lab[..., 0] / 100.0, *(np.moveaxis(ab, 2, 0) / params.chroma_max + 1.0) / 2.0])
    cells = np.array(_COLOUR_CELLS, dtype=np.float32)[:, None, None]
    place = np.clip(scaled * cells, 0.0, cells - 1e-3)
    rows = []
    for box in boxes:
        x0, y0, x1, y1 = (round(_THUMB * v) for v in box)
        part = (slice(y0, y1), slice(x0, x1))
        rows.append(_trilinear(place[:, *part].reshape(3, -1), weight[part].ravel()) ** params.colour_power)
    table = np.stack(rows)
    return np.asarray(table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9), np.float32)


def _trilinear(place: F32, weight: F32) -> F32:
    """Histogram of points (3, N) in cell units; each point is shared among the eight nodes around it."""
    nodes = tuple(n + 1 for n in _COLOUR_CELLS)
    low = place.astype(np.intp)
    high_share = place - low
    total = np.zeros(int(np.prod(nodes)))
    for corner in range(8):
        up = np.array([corner & 1, corner >> 1 & 1, corner >> 2 & 1])[:, None]
        shares = np.where(up, high_share, 1.0 - high_share).prod(axis=0) * weight
        total += np.bincount(np.ravel_multi_index(tuple(low + up), nodes), shares, len(total))
    return total.astype(np.float32)


def _colour_signatures(
    rgb: U8, mask: U8 | None, boxes: Sequence[Box], mean: F32, params: ClassicParams
) -> F32:
    """float32 (len(boxes), c): histograms less the mean one, unit rows; zeros where there is no colour."""
    table = colour_histograms(rgb, mask, boxes, params)
    coloured = table.any(axis=1, keepdims=True)
    centred = np.where(coloured, table - mean, 0.0)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(norms, 1e-9), dtype=np.float32)
