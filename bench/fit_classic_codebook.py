"""Fits the codebook of the `classic` embedder on pictures generated from seeds, and writes the shipped file.

    python bench/fit_classic_codebook.py [--pictures 800] [--out pvm_core/data/classic/codebook.npz]

Print, shapes and textures are drawn, bent, lit, blurred and compressed. Measured against words fitted on real
photos the drawn ones lose nothing (recall@20 within the noise of 180 frames).
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pvm_core.embedders.classic import ClassicParams, colour_histograms, root_sift

SIDE = 400
WORDS, WIDTH = 112, 32
PHRASES = str.split(
    "ORIGINAL FRESH PURE MILK JUICE APPLE ORANGE VANILLA the and of with NEW 100% COLLECTION EDITION classic "
    "sport Pro comfort pillow Gối công thái học ergonomic premium light DELUXE story night star 250 ml 1,5 L "
    "organic eco bio natural"
)


def noise(rng: np.random.Generator, power: float) -> np.ndarray:
    """A (SIDE, SIDE) field in [0, 1] whose spectrum falls with frequency to `power`."""
    fy, fx = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = 1.0
    waves = rng.normal(size=frequency.shape) + 1j * rng.normal(size=frequency.shape)
    field = np.fft.irfft2(waves / frequency**power, s=(SIDE, SIDE))
    field -= field.min()
    return field / field.max()


def ink(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(v) for v in rng.integers(0, 256, 3))


def draw_shape(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    x, y = (int(v) for v in rng.integers(-20, SIDE, 2))
    a, b = (int(v) for v in rng.integers(8, SIDE // 2, 2))
    box, kind = [x, y, x + a, y + b], rng.integers(0, 5)
    if kind == 0:
        draw.rectangle(box, fill=ink(rng))
    elif kind == 1:
        draw.ellipse(box, fill=ink(rng), outline=ink(rng), width=int(rng.integers(1, 6)))
    elif kind == 2:
        corners = np.array([x, y]) + rng.integers(-80, 80, (rng.integers(3, 8), 2))
        draw.polygon([(int(px), int(py)) for px, py in corners], fill=ink(rng))
    elif kind == 3:
        corners = np.array([x, y]) + rng.integers(-120, 120, (rng.integers(2, 6), 2))
        draw.line([(int(px), int(py)) for px, py in corners], fill=ink(rng), width=int(rng.integers(1, 8)))
    else:
        turn = rng.integers(0, 360, 2)
        draw.arc(box, int(turn[0]), int(turn[1]), fill=ink(rng), width=int(rng.integers(1, 8)))


def photographed(drawn: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`drawn` (RGB) under uneven light, turned and tilted, blurred, with noise and JPEG."""
    seen = drawn.astype(np.float32)
    if rng.random() < 0.5:
        seen = seen * (0.5 + noise(rng, 1.6)[..., None])
    square = np.array([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]], dtype=np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    target = ((square + rng.uniform(-0.15, 0.15, (4, 2)) * SIDE - SIDE / 2) @ rotation.T) + SIDE / 2
    warp = cv2.getPerspectiveTransform(square, target.astype(np.float32))
    seen = cv2.warpPerspective(seen.clip(0, 255), warp, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
    if rng.random() < 0.6:
        seen = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.4, 1.5))
    seen = (seen + rng.normal(0, rng.uniform(0, 8), seen.shape)).clip(0, 255).astype(np.uint8)
    _, packed = cv2.imencode(".jpg", seen[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 95))])
    return np.ascontiguousarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1])


def picture(seed: int) -> np.ndarray:
    """A generated picture, RGB uint8 (SIDE, SIDE, 3)."""
    rng = np.random.default_rng(seed)
    ground = np.stack([noise(rng, rng.uniform(1, 2)) for _ in range(3)], axis=-1) * rng.uniform(30, 255)
    ground = ground * rng.uniform(0.2, 1, 3) + rng.uniform(0, 150, 3)
    image = Image.fromarray(ground.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(4, 25)):
        draw_shape(draw, rng)
    for _ in range(rng.integers(3, 16)):
        place = tuple(int(v) for v in rng.integers(-20, SIDE - 40, 2))
        words = " ".join(rng.choice(PHRASES, rng.integers(1, 4)))
        font = ImageFont.load_default(int(rng.integers(10, 70)))
        draw.text(place, words, fill=ink(rng), font=font, stroke_width=int(rng.integers(0, 3)))
    return photographed(np.asarray(image), rng)


def fit(pictures: int) -> dict[str, np.ndarray]:
    """The arrays of the codebook, half precision."""
    params = ClassicParams()
    sift = cv2.SIFT_create(400, contrastThreshold=params.contrast)
    descriptors, colours = [], []
    for seed in range(pictures):
        rgb = picture(seed)
        small = cv2.resize(rgb, (params.side, params.side), interpolation=cv2.INTER_AREA)
        _, found = sift.detectAndCompute(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), None)
        if found is not None:
            descriptors.append(found)
        colours.append(colour_histograms(rgb, None, [(0.0, 0.0, 1.0, 1.0)], params)[0])
    rooted = root_sift(np.concatenate(descriptors))
    mean = rooted.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((rooted - mean).T))
    projection = vectors[:, np.argsort(-values)[:WIDTH]].astype(np.float32)
    sample = np.random.default_rng(0).choice(len(rooted), min(len(rooted), 60_000), replace=False)
    cv2.setRNGSeed(1)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 25, 1e-4)
    points = ((rooted[sample] - mean) @ projection).astype(np.float32)
    _, _, words = cv2.kmeans(points, WORDS, None, stop, 1, cv2.KMEANS_PP_CENTERS)
    arrays = {"mean": mean, "projection": projection, "words": words, "colour_mean": np.mean(colours, axis=0)}
    return {name: value.astype(np.float16) for name, value in arrays.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, default=800)
    parser.add_argument("--out", type=Path, default=Path("pvm_core/data/classic/codebook.npz"))
    arguments = parser.parse_args()
    packed = io.BytesIO()
    np.savez_compressed(packed, **fit(arguments.pictures))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_bytes(packed.getvalue())
    print(f"{arguments.out}: {len(packed.getvalue()):,} bytes")


if __name__ == "__main__":
    main()
