"""Samples of faces in the media store: compressed arrays, in chunks of bounded size."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pvm_attention.chain import FaceSample
from pvm_core.arrays import F32, F64, Ints
from pvm_core.faces.landmarks import POINTS
from pvm_resources.media.store import MediaStore

#: Samples in one file: 1,500 faces are a minute of one at 25 frames a second, and 9 MB in memory.
CHUNK: Final = 1_500
#: Landmarks are stored as shares of the picture between these, in 16 bits: a hundredth of a pixel of 640.
#: Points of a face at the edge may lie outside the picture.
_LOW: Final = -0.5
_SPAN: Final = 2.0
_LEVELS: Final = 65_535


@dataclass(frozen=True)
class FaceChunk:
    """Samples in order of time.

    Attributes:
        ts: seconds, (N,).
        track: numbers of tracks, (N,).
        presence: [0, 1], (N,).
        points: landmarks, (N, 478, 2), pixels of a picture of `width` x `height`.
    """

    ts: F64
    track: Ints
    presence: F32
    points: F32
    width: int
    height: int


def put_chunk(media: MediaStore, key: str, samples: Sequence[FaceSample]) -> None:
    """Stores samples of one video."""
    size = np.array([samples[0].width, samples[0].height], np.float32)
    points = np.stack([sample.landmarks.points[:, :2] for sample in samples]) / size
    coded = np.clip((points - _LOW) / _SPAN, 0, 1) * _LEVELS
    put_arrays(
        media,
        key,
        {
            "ts": np.array([sample.ts for sample in samples], np.float64),
            "track": np.array([sample.track for sample in samples], np.int32),
            "presence": np.array([sample.landmarks.presence for sample in samples], np.float32),
            "points": np.rint(coded).astype(np.uint16),
            "size": size.astype(np.int32),
        },
    )


def read_chunks(media: MediaStore, keys: Sequence[str]) -> Iterator[FaceChunk]:
    """Chunks in order, one in memory at a time.

    Raises:
        StoreError: ``media.missing``, ``media.read``.
        ValueError: a file is no chunk.
    """
    for key in keys:
        found = read_arrays(media, key)
        points, size = found["points"], found["size"]
        if points.ndim != 3 or points.shape[1:] != (POINTS, 2) or len(found["ts"]) != len(points):
            raise ValueError(f"{key} holds no landmarks")
        shares = points.astype(np.float32) / _LEVELS * _SPAN + _LOW
        yield FaceChunk(
            found["ts"],
            found["track"].astype(np.intp),
            found["presence"],
            np.asarray(shares * size, np.float32),
            int(size[0]),
            int(size[1]),
        )


def put_arrays(media: MediaStore, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Stores arrays by name, compressed."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(arrays))  # type: ignore[arg-type]
    media.put(key, buffer.getvalue())


def read_arrays(media: MediaStore, key: str) -> dict[str, NDArray[Any]]:
    """Arrays stored under `key`.

    Raises:
        StoreError: ``media.missing``, ``media.read``.
        ValueError: the file holds no arrays.
    """
    with np.load(io.BytesIO(media.get(key)), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
