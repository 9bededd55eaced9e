"""Brushes of the generator: noise, gradients, shaded bodies, lettering. All pictures RGB uint8 (H, W, 3)."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any, Final, TypeAlias, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pvm_core.evidence.typography import bundled_face

Rgb: TypeAlias = NDArray[np.uint8]
Rgba: TypeAlias = NDArray[np.uint8]
Plane: TypeAlias = NDArray[np.floating[Any]]
Points: TypeAlias = NDArray[np.float32]
Colour: TypeAlias = tuple[int, int, int]
T = TypeVar("T")

#: Faces of `pymupdf_fonts` that lettering on packs is set in; all carry Vietnamese.
DISPLAY_FACES: Final = ("figbo", "figbi", "notosbo", "notosbi", "cascadiab", "spacembo")


def smaller(picture: Rgb, factor: float) -> Rgb:
    """`picture` scaled by `factor` < 1 with an area filter."""
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def blurred(picture: Rgb, sigma: float) -> Rgb:
    """`picture` out of focus by `sigma` pixels."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour from hue (turns, any real), saturation and value in [0, 1]."""
    r, g, b = colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return round(r * 255), round(g * 255), round(b * 255)


def luminance(colour: Colour) -> float:
    """Relative luminance of an sRGB colour in [0, 1], without the gamma step."""
    return (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) / 255


def ink_on(colour: Colour) -> Colour:
    """Near black or near white, whichever reads on `colour`."""
    return (250, 248, 244) if luminance(colour) < 0.56 else (26, 24, 28)


def solid(height: int, width: int, colour: Colour) -> Rgb:
    """A plain picture of one colour."""
    return np.full((height, width, 3), colour, np.uint8)


def gradient(height: int, width: int, first: Colour, last: Colour, angle: float) -> Rgb:
    """A linear gradient; `angle` in radians, 0 from left to right."""
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None]
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    return ramp(along / np.float32(abs(np.cos(angle)) + abs(np.sin(angle))) + np.float32(0.5), first, last)


#: Octaves with features larger than this many pixels are made at a quarter of the size.
_COARSE: Final = 24.0


def noise(
    rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 4, gain: float = 0.5
) -> Plane:
    """Value noise in [0, 1], float32 (height, width); `cell` is the largest feature in pixels."""
    cells = [max(cell / 2**octave, 1.0) for octave in range(octaves)]
    weights = [gain**octave for octave in range(octaves)]
    coarse = [(c, w) for c, w in zip(cells, weights, strict=True) if c > _COARSE]
    total = np.zeros((height, width), np.float32)
    if coarse:
        small = np.zeros((height // 4 + 2, width // 4 + 2), np.float32)
        for size, weight in coarse:
            small += weight * _grid(rng, *small.shape, size / 4)
        big = cv2.resize(small, (width + 8, height + 8), interpolation=cv2.INTER_CUBIC)
        total = np.asarray(big, np.float32)[4:-4, 4:-4]
    for size, weight in zip(cells[len(coarse) :], weights[len(coarse) :], strict=True):
        total = total + weight * _grid(rng, height, width, size)
    return np.asarray(np.clip(total / sum(weights), 0, 1), np.float32)


def _grid(rng: np.random.Generator, height: int, width: int, size: float) -> Plane:
    if size < 1.5:
        return rng.random((height, width), np.float32)
    rows, columns = int(height / size) + 2, int(width / size) + 2
    grid = rng.random((rows, columns), np.float32)
    big = cv2.resize(grid, (int(columns * size), int(rows * size)), interpolation=cv2.INTER_CUBIC)
    return np.asarray(big, np.float32)[int(size / 2) :, int(size / 2) :][:height, :width]


def stretch(plane: Plane) -> Plane:
    """`plane` spread over the whole of [0, 1]."""
    low, high = float(plane.min()), float(plane.max())
    return np.asarray((plane - low) / max(high - low, 1e-6), np.float32)


def ramp(plane: Plane, *colours: Colour) -> Rgb:
    """A colour map: values in [0, 1] become the interpolated `colours`."""
    stops = np.linspace(0, 255, len(colours))
    table = np.stack([np.interp(np.arange(256), stops, [c[i] for c in colours]) for i in range(3)], axis=1)
    level = cv2.convertScaleAbs(np.clip(plane, 0, 1), alpha=255)
    return np.asarray(cv2.LUT(cv2.merge([level] * 3), table.astype(np.uint8)[None]), np.uint8)


def mix(below: Rgb, above: Rgb | Colour, alpha: Plane | float) -> Rgb:
    """`above` over `below` with `alpha` in [0, 1], a plane (H, W) or one number."""
    a = np.asarray(alpha, np.float32)
    a = a[..., None] if a.ndim == 2 else a
    over = np.asarray(above, np.float32)
    return np.asarray(below * (1 - a) + over * a + 0.5, np.float32).clip(0, 255).astype(np.uint8)


def canvas(picture: Rgb) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A Pillow image holding a copy of `picture` and a drawing context on it that blends alpha."""
    image = Image.fromarray(picture)
    return image, ImageDraw.Draw(image, "RGBA")


def array(image: Image.Image) -> Rgb:
    """The pixels of `image`, contiguous."""
    return np.array(image.convert("RGB"))


def face_for(text: str, name: str, room: float, tallest: int) -> ImageFont.FreeTypeFont:
    """The face `name` in the largest size at most `tallest` in which `text` fits `room` pixels."""
    face = bundled_face(name, tallest)
    needed = face.getlength(text)
    size = tallest if needed <= room else max(int(tallest * room / max(needed, 1)), 6)
    return bundled_face(name, size)


def letter(
    draw: ImageDraw.ImageDraw,
    xy: tuple[float, float],
    text: str,
    face: ImageFont.FreeTypeFont,
    fill: tuple[int, ...],
    **options: Any,
) -> None:
    """`text` centred on `xy` unless `options` name another anchor."""
    draw.text(xy, text, font=face, fill=fill, **{"anchor": "mm", **options})


def disc(
    draw: ImageDraw.ImageDraw, x: float, y: float, rx: float, ry: float | None = None, **options: Any
) -> None:
    """An ellipse around (x, y) with the radii `rx` and `ry` (default: a circle)."""
    ry = rx if ry is None else ry
    draw.ellipse([x - rx, y - ry, x + rx, y + ry], **options)


def oval(
    picture: Rgb | Rgba,
    centre: tuple[int, int],
    axes: tuple[int, int],
    colour: Sequence[int],
    arc: tuple[int, int] = (0, 360),
    thickness: int = -1,
    shift: int = 0,
) -> None:
    """An ellipse with smooth edges drawn into `picture`, filled unless `thickness` is positive.

    Args:
        arc: its first and last degree.
        shift: fractional bits of `centre` and `axes`.
    """
    cv2.ellipse(picture, centre, axes, 0, *arc, tuple(colour), thickness, cv2.LINE_AA, shift)


def darker(colour: Sequence[int], factor: float) -> Colour:
    """`colour` times `factor`."""
    red, green, blue = (int(c * factor) for c in colour)
    return red, green, blue


def corners_of(width: float, height: float) -> Points:
    """Corners of a rectangle at the origin, clockwise from the top left, float32 (4, 2)."""
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)


def rotation(angle: float) -> NDArray[np.float64]:
    """The matrix (2, 2) that turns column vectors by `angle` radians."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of `choices`."""
    return choices[int(rng.integers(len(choices)))]


def word(rng: np.random.Generator, letters: str, length: int) -> str:
    """`length` letters, each one of `letters`."""
    return "".join(rng.choice(list(letters), length))


def ball(size: int, colour: Colour, light: tuple[float, float] = (-0.35, -0.45)) -> Rgba:
    """A shaded sphere with a highlight, RGBA (size, size, 4)."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    radius = np.sqrt(x * x + y * y)
    depth = np.sqrt(np.clip(1 - radius * radius, 0, 1))
    lx, ly = light
    lz = float(np.sqrt(max(1 - lx * lx - ly * ly, 0.05)))
    facing = np.clip(x * lx + y * ly + depth * lz, 0, 1)
    shade = (0.38 + 0.72 * facing)[..., None]
    gloss = (np.clip(facing, 0, 1) ** 28)[..., None] * 150
    body = np.clip(np.asarray(colour, np.float32) * shade + gloss, 0, 255)
    alpha = np.clip((1 - radius) * size / 2.5, 0, 1)[..., None] * 255
    return np.concatenate([body, alpha], axis=2).astype(np.uint8)


def paste(below: Rgb, above: Rgba, x: int, y: int) -> Rgb:
    """`above` (RGBA) set into `below` in place, top left corner at (x, y); parts outside are cut off."""
    place, piece = _overlap(below, above, x, y)
    place[:] = mix(place, piece[..., :3], piece[..., 3].astype(np.float32) / 255)
    return below


def over(below: Rgb, above: Rgba, x: int = 0, y: int = 0) -> Rgb:
    """`above` (premultiplied RGBA) set into `below` in place, top left corner at (x, y)."""
    place, piece = _overlap(below, above, x, y)
    if place.size:
        rest = cv2.cvtColor(255 - piece[..., 3], cv2.COLOR_GRAY2RGB)
        kept = cv2.multiply(place, rest, scale=1 / 255)
        place[:] = cv2.add(kept, cv2.cvtColor(piece, cv2.COLOR_RGBA2RGB))
    return below


def _overlap(below: Rgb, above: Rgba, x: int, y: int) -> tuple[Rgb, Rgba]:
    """Views of both pictures where they overlap, `above` with its top left corner at (x, y) of `below`."""
    height, width = below.shape[:2]
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = max(min(x + above.shape[1], width), x0), max(min(y + above.shape[0], height), y0)
    return below[y0:y1, x0:x1], above[y0 - y : y1 - y, x0 - x : x1 - x]


def blob(rng: np.random.Generator, count: int, wobble: float) -> Points:
    """A closed smooth outline around the origin with mean radius 1, float32 (96, 2)."""
    radii = 1 + wobble * rng.uniform(-1, 1, count)
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    at = angle / (2 * np.pi) * count
    low = np.floor(at).astype(int)
    share = (1 - np.cos((at - low) * np.pi)) / 2
    radius = radii[low % count] * (1 - share) + radii[(low + 1) % count] * share
    return np.stack([np.cos(angle) * radius, np.sin(angle) * radius], axis=1).astype(np.float32)


def polygon(points: NDArray[Any]) -> list[tuple[float, float]]:
    """Points (N, 2) as Pillow takes them."""
    return [(float(x), float(y)) for x, y in points]
