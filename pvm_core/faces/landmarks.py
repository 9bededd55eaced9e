"""The 478 landmarks of a face: MediaPipe's mesh of 468 points and 5 of each iris, in OpenCV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from pvm_core.arrays import F32
from pvm_core.faces.regions import Region, region_around
from pvm_core.images import Rgb
from pvm_core.model_registry import MODELS
from pvm_core.weights import weights_path

MESH_POINTS: Final = 468
POINTS: Final = 478
#: Sides of the two networks' inputs.
_MESH_SIDE: Final = 192
_IRIS_SIDE: Final = 64
#: Side of a face's square over its box, of an eye's over its width; `face_landmark_landmarks_to_roi.pbtxt`
#: and `iris_landmark_landmarks_to_roi.pbtxt` of MediaPipe.
_FACE_SCALE: Final = 1.5
_EYE_SCALE: Final = 2.3
#: A probability of MediaPipe's face presence below this means that no face is there.
MIN_PRESENCE: Final = 0.5
#: Contour of the eye at the left of an upright picture (the person's right): lower lid from the outer to
#: the inner corner, then the upper lid. The iris network gives these 16 first
#: (`update_face_landmarks_calculator.cc`).
LEFT_CONTOUR: Final = (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173)
RIGHT_CONTOUR: Final = (263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398)
LEFT_IRIS: Final = slice(468, 473)
RIGHT_IRIS: Final = slice(473, 478)


@dataclass(frozen=True)
class Landmarks:
    """A face's points.

    Attributes:
        points: (478, 3) float32: x, y in pixels of the picture, z in the same unit, smaller nearer the
            camera; 0 for the irises.
        presence: probability that a face is there, [0, 1].
    """

    points: F32
    presence: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, width, height of the points, pixels."""
        low, high = self.points[:, :2].min(axis=0), self.points[:, :2].max(axis=0)
        return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])

    @property
    def region(self) -> Region:
        """Where the face is looked for in the next frame."""
        flat = self.points[:MESH_POINTS, :2]
        return region_around(flat, flat[33], flat[263], _FACE_SCALE)


def region_of_box(box: tuple[float, float, float, float], eyes: F32 | None) -> Region:
    """Where the landmarks of a detected face are looked for."""
    left, top, width, height = box
    if eyes is None:
        return Region(left + width / 2, top + height / 2, _FACE_SCALE * max(width, height))
    angle = float(np.arctan2(eyes[1, 1] - eyes[0, 1], eyes[1, 0] - eyes[0, 0]))
    return Region(left + width / 2, top + height / 2, _FACE_SCALE * max(width, height), angle)


@dataclass(frozen=True)
class Mesh:
    """A face's mesh.

    Attributes:
        points: (468, 3) float32, as in `Landmarks`.
        presence: probability that a face is there, [0, 1].
    """

    points: F32
    presence: float


class FaceMesh:
    """The network of the mesh, loaded.

    Args:
        models_dir: the model store.

    Raises:
        ModelError: ``model.missing``, ``model.hash``.
    """

    def __init__(self, models_dir: Path) -> None:
        self._net = _load(models_dir, "face-mesh")

    def __call__(self, rgb: Rgb, region: Region) -> Mesh | None:
        """The mesh of the face in a region of an RGB picture; None where there is no face."""
        self._net.setInput(cv2.dnn.blobFromImage(region.crop(rgb, _MESH_SIDE), 1 / 255))
        flag, rows = self._net.forward(["conv2d_31", "conv2d_21"])
        presence = float(1 / (1 + np.exp(-np.clip(flag.reshape(-1)[0], -100, 100))))
        if presence < MIN_PRESENCE:
            return None
        return Mesh(region.to_picture(rows.reshape(-1, 3), _MESH_SIDE), presence)


class LandmarkNet:
    """Both networks, loaded.

    Args:
        models_dir: the model store.

    Raises:
        ModelError: ``model.missing``, ``model.hash``.
    """

    def __init__(self, models_dir: Path) -> None:
        self._mesh, self._iris = FaceMesh(models_dir), _load(models_dir, "iris-mesh")

    def __call__(self, rgb: Rgb, region: Region) -> Landmarks | None:
        """The landmarks of the face in a region of an RGB picture; None where there is no face."""
        mesh = self._mesh(rgb, region)
        if mesh is None:
            return None
        points = np.zeros((POINTS, 3), np.float32)
        points[:MESH_POINTS] = mesh.points
        self._refine(rgb, points)
        return Landmarks(points, mesh.presence)

    def _refine(self, rgb: Rgb, points: F32) -> None:
        """Writes irises and eye contours; the network knows one eye, the other is shown to it mirrored."""
        for contour, iris, mirrored in ((LEFT_CONTOUR, LEFT_IRIS, False), (RIGHT_CONTOUR, RIGHT_IRIS, True)):
            outer, inner = points[contour[0], :2], points[contour[8], :2]
            start, end = (inner, outer) if mirrored else (outer, inner)
            region = region_around(np.stack([start, end]), start, end, _EYE_SCALE)
            crop = region.crop(rgb, _IRIS_SIDE)
            shown = np.ascontiguousarray(crop[:, ::-1]) if mirrored else crop
            self._iris.setInput(cv2.dnn.blobFromImage(shown, 1 / 255))
            eye, round_ = self._iris.forward(["output_eyes_contours_and_brows", "output_iris"])
            for rows, places in ((round_, iris), (eye.reshape(-1, 3)[: len(contour)], list(contour))):
                found = rows.reshape(-1, 3).copy()
                if mirrored:
                    found[:, 0] = _IRIS_SIDE - found[:, 0]
                points[places, :2] = region.to_picture(found, _IRIS_SIDE)[:, :2]


def _load(models_dir: Path, name: str) -> Any:
    path, _ = weights_path(models_dir, name, MODELS[name].sha256)
    return cv2.dnn.readNetFromTFLite(str(path))
