"""Faces in one picture: the network's output decoded, and detectors by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np

from pvm_core.arrays import F32
from pvm_core.errors import InputError
from pvm_core.images import Rgb
from pvm_core.model_registry import MODELS
from pvm_core.weights import weights_path

#: Input side of BlazeFace (short range) and its layers: side of the grid, anchors a cell. From
#: `face_detection_short_range.pbtxt` of MediaPipe: strides 8, 16, 16, 16, two anchors a stride.
SIDE: Final = 128
_GRIDS: Final = ((16, 2), (8, 6))
#: Score from which a face counts, and overlap from which two boxes are one face; MediaPipe's own.
MIN_SCORE: Final = 0.5
_MIN_OVERLAP: Final = 0.3
#: Score a YuNet face needs; OpenCV's sample uses 0.9, its class 0.9.
_YUNET_SCORE: Final = 0.9
#: Haar cascade (OpenCV's own sample): scale step, neighbours; side of the smallest face over the picture's.
_HAAR_STEP: Final = 1.1
_HAAR_NEIGHBOURS: Final = 6
_HAAR_SMALLEST: Final = 0.08


@dataclass(frozen=True)
class Face:
    """A face found in a picture.

    Attributes:
        box: left, top, width, height in pixels.
        score: the detector's own, [0, 1]; not comparable between detectors.
        eyes: (2, 2) pixels, the eye at the left of an upright picture first; None where the detector gives
            none.
    """

    box: tuple[float, float, float, float]
    score: float
    eyes: F32 | None = None


class FaceDetector(Protocol):
    """Finds faces in RGB pictures."""

    name: str

    def __call__(self, rgb: Rgb) -> list[Face]:
        """The faces of one picture, best first."""
        ...


@lru_cache(maxsize=1)
def anchors() -> F32:
    """Centres of the anchors, (896, 2), as shares of the input's side; their size is fixed at 1."""
    found = []
    for grid, count in _GRIDS:
        centre = (np.arange(grid) + 0.5) / grid
        y, x = np.meshgrid(centre, centre, indexing="ij")
        found.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), count, axis=0))
    return np.concatenate(found).astype(np.float32)


def decode(regressors: F32, scores: F32, min_score: float = MIN_SCORE) -> tuple[F32, F32]:
    """The faces of BlazeFace's output.

    Args:
        regressors: (896, 16): centre, size and six key points (x, y), in pixels of the input, from the
            anchor.
        scores: (896,): logits.
        min_score: faces below are left out.

    Returns:
        (N, 16) with left, top, width, height and six points, as shares of the input's side, and scores (N,),
        best first. Boxes that overlap are one face, their mean weighted by score.
    """
    probabilities = 1 / (1 + np.exp(-np.clip(scores.astype(np.float64), -100, 100)))
    kept = probabilities >= min_score
    chance, rows, places = probabilities[kept], regressors[kept] / SIDE, anchors()[kept]
    centre, size = rows[:, :2] + places, rows[:, 2:4]
    points = rows[:, 4:].reshape(-1, 6, 2) + places[:, None]
    faces = np.hstack([centre - size / 2, size, points.reshape(-1, 12)]).astype(np.float32)
    return _merged(faces, chance.astype(np.float32))


def _merged(faces: F32, chance: F32) -> tuple[F32, F32]:
    order = np.argsort(-chance)
    out, best = [], []
    while order.size:
        first = order[0]
        same = _overlap(faces[first], faces[order]) > _MIN_OVERLAP
        group = order[same] if same.any() else order[:1]
        weights = chance[group][:, None]
        out.append((faces[group] * weights).sum(axis=0) / weights.sum())
        best.append(chance[first])
        order = order[~np.isin(order, group)]
    return np.array(out, np.float32).reshape(-1, 16), np.array(best, np.float32)


def _overlap(one: F32, many: F32) -> F32:
    """Intersection over union of a box with boxes (left, top, width, height)."""
    low = np.maximum(one[:2], many[:, :2])
    high = np.minimum(one[:2] + one[2:4], many[:, :2] + many[:, 2:4])
    inner = np.clip(high - low, 0, None).prod(axis=1)
    return np.asarray(inner / np.maximum(one[2:4].prod() + many[:, 2:4].prod(axis=1) - inner, 1e-9))


class BlazeFace:
    """MediaPipe's short-range detector in OpenCV; faces up to about 2 m from the camera.

    Args:
        models_dir: the model store.

    Raises:
        ModelError: ``model.missing``, ``model.hash``.
    """

    name = "blazeface"

    def __init__(self, models_dir: Path) -> None:
        path, _ = weights_path(models_dir, self.name, MODELS[self.name].sha256)
        self._net: Any = cv2.dnn.readNetFromTFLite(str(path))

    def __call__(self, rgb: Rgb) -> list[Face]:
        """The faces of one picture, best first."""
        height, width = rgb.shape[:2]
        side = max(height, width)
        left, top = (side - width) / 2, (side - height) / 2
        scale = SIDE / side
        matrix = np.array([[scale, 0, left * scale], [0, scale, top * scale]])
        square = cv2.warpAffine(rgb, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA)
        self._net.setInput(cv2.dnn.blobFromImage(square, 1 / 127.5, (SIDE, SIDE), (127.5, 127.5, 127.5)))
        scores, rows = self._net.forward(["classificators", "regressors"])
        faces, chance = decode(rows.reshape(-1, 16), scores.reshape(-1))
        found = faces.reshape(-1, 8, 2) * side
        found[:, [0, 2, 3, 4, 5, 6, 7]] -= (left, top)
        return [
            Face((float(f[0, 0]), float(f[0, 1]), float(f[1, 0]), float(f[1, 1])), float(c), f[2:4])
            for f, c in zip(found, chance, strict=True)
        ]


class YuNet:
    """YuNet (MIT, by OpenCV's zoo) from a file of the user.

    Raises:
        InputError: ``attention.detector`` where OpenCV cannot read the file.
    """

    def __init__(self, path: Path) -> None:
        self.name = label_of(f"yunet:{path}")
        try:
            self._net: Any = cv2.FaceDetectorYN.create(str(path), "", (320, 320), _YUNET_SCORE)
        except cv2.error as error:
            raise InputError(
                "attention.detector",
                str(path),
                f"OpenCV cannot read it ({error.err})",
                "Name a YuNet file",
            ) from error

    def __call__(self, rgb: Rgb) -> list[Face]:
        """The faces of one picture, best first."""
        self._net.setInputSize((rgb.shape[1], rgb.shape[0]))
        _, rows = self._net.detect(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        if rows is None:
            return []
        found = [
            Face((float(r[0]), float(r[1]), float(r[2]), float(r[3])), float(r[-1]), r[4:8].reshape(2, 2))
            for r in rows
        ]
        return sorted(found, key=lambda face: -face.score)


class Haar:
    """OpenCV's frontal cascade, which its package carries: needs no weights, finds upright frontal faces."""

    name = "haar"

    def __init__(self) -> None:
        self._cascade: Any = cv2.CascadeClassifier(
            str(Path(_cascades()) / "haarcascade_frontalface_default.xml")
        )

    def __call__(self, rgb: Rgb) -> list[Face]:
        """The faces of one picture, largest first; the score is 1 for each, the cascade gives none."""
        grey = cv2.equalizeHist(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
        least = max(24, round(_HAAR_SMALLEST * min(grey.shape)))
        boxes = self._cascade.detectMultiScale(grey, _HAAR_STEP, _HAAR_NEIGHBOURS, minSize=(least, least))
        found = [Face((float(x), float(y), float(w), float(h)), 1.0) for x, y, w, h in boxes]
        return sorted(found, key=lambda face: -face.box[2])


def _cascades() -> str:
    folder: str = import_module("cv2.data").haarcascades
    return folder


_BY_NAME: Final[dict[str, Callable[[Path], FaceDetector]]] = {
    "blazeface": BlazeFace,
    "haar": lambda _models: Haar(),
}


def label_of(name: str) -> str:
    """The short name of a detector, which tells it from others of a job: a file's without its folder."""
    kind, colon, path = name.partition(":")
    return f"{kind}:{Path(path).stem}" if colon else name


def load_detector(name: str, models_dir: Path) -> FaceDetector:
    """The detector of that name: ``blazeface``, ``haar``, or ``yunet:PATH`` with a file of the user.

    Raises:
        InputError: ``attention.detector``.
        ModelError: ``model.missing``, ``model.hash``.
    """
    if name in _BY_NAME:
        return _BY_NAME[name](models_dir)
    kind, _, path = name.partition(":")
    if kind == "yunet" and path:
        return YuNet(Path(path))
    known = ", ".join(sorted(_BY_NAME))
    raise InputError(
        "attention.detector",
        name,
        "no face detector of this name is known",
        f"It is one of {known}, yunet:PATH",
    )
