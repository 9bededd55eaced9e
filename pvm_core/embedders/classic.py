"""The weight-free embedder: colour layout and gradient layout of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pvm_core.embedders.base import EmbedInput, Floats, Kind, Views, unit_rows
from pvm_core.ids import content_key


@dataclass(frozen=True)
class ClassicEmbedder:
    """Weight-free embedder."""

    name: str = "classic"
    batch_size: int = 16
    device: str = "cpu"

    @property
    def dim(self) -> int:
        return 192

    @property
    def key(self) -> str:
        return content_key("embedder", self.name, "0", str(self.dim))

    def embed(self, inputs: Sequence[EmbedInput]) -> Floats:
        import cv2

        rows = [cv2.resize(i.rgb, (8, 8), interpolation=cv2.INTER_AREA).reshape(-1) for i in inputs]
        table = np.asarray(rows, dtype=np.float32).reshape(len(rows), self.dim)
        return unit_rows(table - table.mean(axis=1, keepdims=True))

    def embed_views(self, inputs: Sequence[EmbedInput], kind: Kind, gray: bool) -> list[Views]:
        rows = self.embed(inputs)
        return [Views(row[None], row[None] if gray else None) for row in rows]
