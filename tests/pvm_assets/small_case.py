"""A case of a few seconds: textured products, short clips that show some of them."""

from __future__ import annotations

import csv
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

PRODUCTS = 4
CLIPS = 3
_FPS = 8


def product_picture(seed: int, side: int = 320) -> NDArray[np.uint8]:
    """A square pack on white, uint8 (side, side, 3) RGB: blocks, circles and letters of one seed."""
    rng = np.random.default_rng(seed)
    picture = np.full((side, side, 3), 255, np.uint8)
    cv2.rectangle(picture, (30, 30), (side - 30, side - 30), rng.integers(40, 200, 3).tolist(), -1)
    for _ in range(60):
        x, y = rng.integers(40, side - 60, 2).tolist()
        colour = rng.integers(0, 255, 3).tolist()
        if rng.random() < 0.5:
            cv2.circle(picture, (x, y), int(rng.integers(4, 16)), colour, -1)
        else:
            cv2.rectangle(
                picture, (x, y), (x + int(rng.integers(6, 30)), y + int(rng.integers(6, 30))), colour, -1
            )
    text = "".join(rng.choice(list("ABCDEFGHKLMNPRSTUVXYZ"), 6))
    cv2.putText(picture, text, (50, side // 2), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (0, 0, 0), 3)
    return picture


def write_case(folder: Path) -> Path:
    """Writes products.csv, images/ and videos/ into `folder`; clip n shows product n, the last shows none."""
    (folder / "images").mkdir(parents=True)
    (folder / "videos").mkdir()
    with (folder / "products.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["product_id", "title", "image"])
        for n in range(PRODUCTS):
            picture = product_picture(n)
            cv2.imwrite(str(folder / "images" / f"p{n}.jpg"), picture[..., ::-1])
            rows.writerow([f"p{n}", f"Gối số {n}", f"images/p{n}.jpg"])
    for n in range(CLIPS):
        write_clip(folder / "videos" / f"clip{n}.mp4", n, product_picture(n) if n < CLIPS - 1 else None)
    return folder


def write_clip(path: Path, seed: int, product: NDArray[np.uint8] | None, shots: int = 3) -> None:
    """Two seconds a shot at 8 frames a second, each shot with its own background and pose."""
    rng = np.random.default_rng(1_000 + seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_FPS)
        stream.width, stream.height, stream.pix_fmt = 480, 360, "yuv420p"
        stream.options = {"g": "8", "preset": "ultrafast"}
        for _ in range(shots):
            ground = cv2.resize(
                rng.integers(0, 255, (9, 12, 3), np.uint8), (480, 360), interpolation=cv2.INTER_CUBIC
            )
            for a, b in rng.integers(0, (470, 350), (400, 2)).tolist():
                cv2.rectangle(ground, (a, b), (a + 9, b + 9), rng.integers(0, 255, 3).tolist(), -1)
            side, x, y = int(rng.integers(200, 300)), int(rng.integers(10, 170)), int(rng.integers(10, 50))
            for t in range(2 * _FPS):
                frame = ground.copy()
                if product is not None:
                    frame[y : y + side, x + t : x + t + side] = cv2.resize(product, (side, side))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
