"""Real video files for tests: drawn pictures, encoded by PyAV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from pvm_core.images import Rgb

#: Of a clip's time base, per second: fine enough for any rate used in tests.
TICKS = 1_000


def drawing(seed: int, width: int = 160, height: int = 240, base: tuple[int, int, int] | None = None) -> Rgb:
    """A picture full of corners and text-like strokes, in colours of its own."""
    random = np.random.default_rng(seed)
    colour = base or tuple(int(c) for c in random.integers(40, 215, 3))
    picture = np.full((height, width, 3), colour, np.uint8)
    for _ in range(60):
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        w, h = int(random.integers(4, width // 5)), int(random.integers(3, height // 8))
        tone = tuple(int(c) for c in np.clip(np.add(colour, random.integers(-90, 90, 3)), 0, 255))
        cv2.rectangle(picture, (x, y), (x + w, y + h), tone, -1)
        cv2.putText(picture, chr(65 + int(random.integers(0, 26))), (x, y), 0, 0.5, (20, 20, 20), 1)
    return picture


def blurred(picture: Rgb, sigma: float = 6.0) -> Rgb:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def seconds(picture: Rgb, length: float, fps: int = 10) -> list[Rgb]:
    """The picture held for a time."""
    return [picture] * round(length * fps)


def panned(picture: Rgb, length: float, fps: int = 10, width: int = 160, height: int = 240) -> list[Rgb]:
    """A window moving slowly over a larger picture, as a hand-held camera does."""
    count = round(length * fps)
    spare_x, spare_y = picture.shape[1] - width, picture.shape[0] - height
    steps = [(i * spare_x // max(1, count), i * spare_y // max(1, count)) for i in range(count)]
    return [np.ascontiguousarray(picture[y : y + height, x : x + width]) for x, y in steps]


def write_clip(
    path: Path,
    frames: Iterable[Rgb],
    *,
    fps: int = 10,
    times_ms: Sequence[int] | None = None,
    codec: str = "libx264",
    gop: int = 250,
    pix_fmt: str = "yuv420p",
    rotation: int | None = None,
    matrix: Sequence[int] | None = None,
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    ticks: int = TICKS,
) -> Path:
    """Encode RGB frames; `times_ms` gives each frame's time where the rate varies.

    By default no frame but the first is a key frame (the encoder's scene cut detection is off).
    """
    with av.open(str(path), "w", options=container or {}) as file:
        stream: Any = None
        for index, frame in enumerate(frames):
            if stream is None:
                stream = file.add_stream(codec, rate=fps)
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = pix_fmt
                stream.codec_context.time_base = Fraction(1, ticks)
                stream.codec_context.gop_size = gop
                quick = {"sc_threshold": "0", "preset": "veryfast", "crf": "18"} if codec == "libx264" else {}
                stream.options = {**quick, **(options or {})}
                if rotation is not None:
                    stream.set_display_rotation(rotation)
                if matrix is not None:
                    stream.set_display_matrix(matrix)
                if aspect is not None:
                    stream.codec_context.sample_aspect_ratio = aspect
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = (times_ms[index] if times_ms else index * 1_000 / fps) * ticks // 1_000
            picture.time_base = Fraction(1, ticks)
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """A file with a sound track and nothing else."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=16_000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 16_000
        file.mux(stream.encode(silence))
        file.mux(stream.encode(None))
    return path
