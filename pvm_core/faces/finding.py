"""Every face of a picture, small ones too: where one that is missed costs more than one found too many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from pvm_core.faces.detection import BlazeFace, Face
from pvm_core.faces.landmarks import FaceMesh, region_of_box
from pvm_core.images import Rgb

#: What `FaceFinder` loads from the model store.
NETWORKS: Final = ("blazeface", "face-mesh")
#: Tiles a shorter side: the detector sees 128 pixels a side, so that the face of somebody who stands in the
#: room is seen in a tile alone (docs/attention.md has the figures).
_LEVELS: Final = (1, 2, 3)
#: Side of a tile over its share of the picture, its least side in pixels, and the step to the next over its
#: side: a face cut by one tile lies whole in the next.
_GROWN: Final = 1.3
_LEAST_SIDE: Final = 64
_STEP: Final = 0.6

#: Left, top, width, height in pixels.
Box = tuple[float, float, float, float]


class FaceFinder:
    """BlazeFace on overlapping tiles of three sizes, each face confirmed by the face mesh.

    Args:
        models_dir: the model store.

    Raises:
        ModelError: ``model.missing``, ``model.hash``.
    """

    def __init__(self, models_dir: Path) -> None:
        self._detector, self._mesh = BlazeFace(models_dir), FaceMesh(models_dir)

    def __call__(self, rgb: Rgb) -> list[Box]:
        """The faces of an RGB picture: the box around what the detector and the mesh say of each; one face
        may be found several times."""
        return [
            box
            for x, y, tile in _tiles(rgb)
            for face in self._detector(tile)
            if (box := self._confirmed(rgb, face, x, y)) is not None
        ]

    def _confirmed(self, rgb: Rgb, face: Face, x: int, y: int) -> Box | None:
        left, top, width, height = face.box[0] + x, face.box[1] + y, *face.box[2:]
        eyes = None if face.eyes is None else face.eyes + np.array([x, y], np.float32)
        found = self._mesh(rgb, region_of_box((left, top, width, height), eyes))
        if found is None:
            return None
        corners = np.array([[left, top], [left + width, top + height]], np.float32)
        points = np.vstack([found.points[:, :2], corners])
        low, high = points.min(axis=0), points.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def _tiles(rgb: Rgb) -> Iterator[tuple[int, int, Rgb]]:
    """Left, top and pixels of each tile; the picture itself first."""
    height, width = rgb.shape[:2]
    for level in _LEVELS:
        if level == 1:
            yield 0, 0, rgb
            continue
        side = int(max(min(height, width) // level * _GROWN, _LEAST_SIDE))
        for y in _starts(height, side):
            for x in _starts(width, side):
                yield x, y, np.ascontiguousarray(rgb[y : y + side, x : x + side])


def _starts(length: int, side: int) -> list[int]:
    room = max(length - side, 0)
    count = int(np.ceil(room / (side * _STEP))) + 1
    return sorted({int(at) for at in np.linspace(0, room, count)})
