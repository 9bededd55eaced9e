"""Tiny generated cases: printed boxes as products, short clips that show some of them."""

from __future__ import annotations

import csv
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
FPS = 10
SIZE = (480, 360)


@dataclass(frozen=True)
class Tiny:
    """Where a tiny case lies: its catalogue, its folder of clips, and which product each clip shows."""

    products: Path
    videos: Path
    shown: Mapping[str, str]


def box(seed: int, size: tuple[int, int] = (300, 360)) -> Rgb:
    """A printed box seen from the front: shapes and letters drawn from `seed`; (H, W, 3)."""
    rng = np.random.default_rng(seed)
    width, height = size
    face = np.full((height, width, 3), rng.integers(40, 220, 3), np.uint8)
    for _ in range(30):
        at = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        colour = tuple(int(c) for c in rng.integers(0, 255, 3))
        cv2.circle(face, at, int(rng.integers(5, 40)), colour, -1 if rng.random() < 0.6 else 3)
    for _ in range(12):
        at = (int(rng.integers(0, width - 80)), int(rng.integers(20, height)))
        colour = tuple(int(c) for c in rng.integers(0, 255, 3))
        text = "".join(chr(int(c)) for c in rng.integers(65, 91, 5))
        cv2.putText(face, text, at, cv2.FONT_HERSHEY_SIMPLEX, float(rng.uniform(0.6, 1.3)), colour, 2)
    return face


def catalogue_picture(seed: int) -> Rgb:
    """The box on white, as a shop shows it."""
    face = box(seed)
    page = np.full((face.shape[0] + 80, face.shape[1] + 80, 3), 255, np.uint8)
    page[40:-40, 40:-40] = face
    return page


def write_picture(path: Path, rgb: Rgb) -> None:
    """Writes a JPEG or PNG, by the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    assert done
    path.write_bytes(data.tobytes())


def write_clip(path: Path, seed: int, product: int | None, seconds: float = 3.0) -> None:
    """A clip of a cluttered room; from its middle on `product` (a seed) stands in it, turned a little."""
    background = room(seed)
    width, height = SIZE
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        frames = int(seconds * FPS)
        for n in range(frames):
            picture = np.roll(background, n, axis=1)
            if product is not None and n >= frames // 2:
                picture = place(picture, box(product), turn=n - frames // 2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
        container.mux(stream.encode())


def room(seed: int) -> Rgb:
    """A cluttered background."""
    rng = np.random.default_rng(seed)
    width, height = SIZE
    picture = cv2.resize(
        rng.integers(60, 200, (9, 12, 3), dtype=np.uint8), SIZE, interpolation=cv2.INTER_CUBIC
    )
    for _ in range(25):
        start = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        end = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        colour = tuple(int(c) for c in rng.integers(0, 255, 3))
        cv2.line(picture, start, end, colour, int(rng.integers(1, 6)))
    return picture


def place(background: Rgb, face: Rgb, turn: int) -> Rgb:
    """The background with the box in it, seen a little from the side; `turn` shifts it."""
    height, width = face.shape[:2]
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    shift = 60 + turn
    target = np.array(
        [[shift + 40, 30], [shift + 260, 45], [shift + 250, 330], [shift + 30, 315]], np.float32
    )
    matrix = cv2.getPerspectiveTransform(source, target)
    warped = cv2.warpPerspective(face, matrix, SIZE)
    mask = cv2.warpPerspective(np.full(face.shape[:2], 255, np.uint8), matrix, SIZE)
    return np.where(mask[..., None] > 0, warped, background).astype(np.uint8)


def write_catalogue(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """A catalogue file with the documented columns."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["product_id", "title", "brand", "url", "image"], restval="")
        writer.writeheader()
        writer.writerows(rows)


def write_case(folder: Path, products: int = 3, clips: int = 2) -> Tiny:
    """Products ``p0``, ``p1``...; clip ``c0`` shows ``p0`` and so on, the last clip shows none."""
    rows = []
    for n in range(products):
        write_picture(folder / "images" / f"p{n}.jpg", catalogue_picture(n))
        rows.append({"product_id": f"p{n}", "title": f"Hộp số {n}", "image": f"images/p{n}.jpg"})
    write_catalogue(folder / "products.csv", rows)
    shown = {}
    for n in range(clips):
        last = n == clips - 1 and clips > 1
        write_clip(folder / "videos" / f"c{n}.mp4", seed=100 + n, product=None if last else n)
        if not last:
            shown[f"c{n}"] = f"p{n}"
    return Tiny(folder / "products.csv", folder / "videos", shown)


def write_copies(case: Tiny, count: int) -> None:
    """More videos of the same pictures, without drawing: their files differ in a box that players skip."""
    whole = (case.videos / "c0.mp4").read_bytes()
    for n in range(count):
        (case.videos / f"copy{n}.mp4").write_bytes(whole + struct.pack(">I4sQ", 16, b"free", n))
