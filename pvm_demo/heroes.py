"""The picture on a pack: fruit, leaves, a landscape, a pillow, a film still, an animal, a device, shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
from PIL import ImageDraw

from pvm_demo.paint import (
    Colour,
    Rgb,
    array,
    ball,
    blob,
    canvas,
    darker,
    disc,
    gradient,
    hsv,
    mix,
    noise,
    oval,
    paste,
    polygon,
    ramp,
    rotation,
    stretch,
)

#: Draws onto a picture of any size: (picture, generator for the form, hue in turns) -> picture.
Hero = Callable[[Rgb, np.random.Generator, float], Rgb]


def _leaf(draw: ImageDraw.ImageDraw, x: float, y: float, length: float, angle: float, colour: Colour) -> None:
    along = np.linspace(0, np.pi, 14)
    half = 0.22 * length * np.sin(along) ** 0.8
    reach = length * along / np.pi
    outline = np.concatenate([np.stack([reach, half], axis=1), np.stack([reach[::-1], -half[::-1]], axis=1)])
    points = outline @ rotation(angle).T + (x, y)
    dark = (colour[0] // 2, colour[1] // 2, colour[2] // 2)
    draw.polygon(polygon(points), fill=colour, outline=dark)
    tip = (x + length * np.cos(angle), y + length * np.sin(angle))
    draw.line([(x, y), tip], fill=dark, width=max(int(length / 40), 1))
    for share in np.linspace(0.2, 0.8, 5):
        for side in (-1, 1):
            start = np.array([x, y]) + share * length * np.array([np.cos(angle), np.sin(angle)])
            bend = angle + side * 0.9
            end = start + 0.16 * length * np.array([np.cos(bend), np.sin(bend)])
            draw.line([tuple(start), tuple(end)], fill=(*dark, 150), width=1)


def leaves(picture: Rgb, rng: np.random.Generator, hue: float) -> Rgb:
    """A wreath of leaves and blossoms."""
    height, width = picture.shape[:2]
    image, draw = canvas(picture)
    size = min(height, width)
    for _ in range(int(rng.integers(22, 34))):
        angle = rng.uniform(0, 2 * np.pi)
        radius = size * rng.uniform(0.12, 0.4)
        x, y = width / 2 + radius * np.cos(angle), height / 2 + radius * np.sin(angle)
        colour = hsv(0.30 + rng.normal(0, 0.035), rng.uniform(0.4, 0.8), rng.uniform(0.35, 0.75))
        _leaf(draw, x, y, size * rng.uniform(0.14, 0.3), angle + rng.normal(0, 0.6), colour)
    for _ in range(int(rng.integers(4, 9))):
        x, y = rng.uniform(0.15, 0.85) * width, rng.uniform(0.15, 0.85) * height
        radius, petals = size * rng.uniform(0.05, 0.12), int(rng.integers(5, 9))
        petal = hsv(hue + rng.normal(0, 0.02), rng.uniform(0.25, 0.8), 0.95)
        for turn in np.linspace(0, 2 * np.pi, petals, endpoint=False):
            px, py = x + radius * 0.7 * np.cos(turn), y + radius * 0.7 * np.sin(turn)
            disc(draw, px, py, radius * 0.45, fill=petal, outline=(120, 90, 90, 120))
        disc(draw, x, y, radius * 0.35, fill=hsv(0.12, 0.8, 0.85))
    return array(image)


def _slice(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: Colour, turn: float) -> None:
    disc(draw, x, y, radius, fill=colour)
    inner = radius * 0.88
    disc(draw, x, y, inner, fill=(250, 244, 226))
    wedges = 9
    pale = tuple(min(255, int(c * 0.75 + 80)) for c in colour)
    for number in range(wedges):
        a, b = turn + 2 * np.pi * (number + 0.08) / wedges, turn + 2 * np.pi * (number + 0.92) / wedges
        arc = np.linspace(a, b, 6)
        ring = np.stack([np.cos(arc), np.sin(arc)], axis=1) * inner * 0.94 + (x, y)
        middle = np.array([[np.cos((a + b) / 2), np.sin((a + b) / 2)]]) * inner * 0.12 + (x, y)
        draw.polygon(polygon(np.concatenate([ring, middle])), fill=pale, outline=colour)


def fruit(picture: Rgb, rng: np.random.Generator, hue: float) -> Rgb:
    """Shaded fruit, cut slices, a splash and drops."""
    height, width = picture.shape[:2]
    size = min(height, width)
    image, draw = canvas(picture)
    splash = blob(rng, int(rng.integers(11, 17)), 0.38) * (width * 0.44, height * 0.3)
    middle = (width / 2, height * 0.62)
    draw.polygon(polygon(splash + middle), fill=(255, 252, 244, 235))
    for _ in range(int(rng.integers(10, 20))):
        x, y, r = rng.uniform(0, width), rng.uniform(0.1, 0.95) * height, size * rng.uniform(0.006, 0.03)
        disc(draw, x, y, r, fill=(255, 252, 244, 230), outline=(190, 180, 170, 160))
    picture = array(image)
    for _ in range(int(rng.integers(4, 8))):
        side = int(size * rng.uniform(0.2, 0.38))
        x = int(rng.uniform(0.08, 0.92) * width - side / 2)
        y = int(rng.uniform(0.35, 0.85) * height - side / 2)
        shade = hsv(hue + rng.normal(0, 0.015), rng.uniform(0.65, 0.95), rng.uniform(0.7, 0.98))
        picture = paste(picture, _speckled(rng, ball(side, shade)), x, y)
    image, draw = canvas(picture)
    for _ in range(int(rng.integers(2, 5))):
        x, y = rng.uniform(0.12, 0.88) * width, rng.uniform(0.5, 0.9) * height
        _slice(draw, x, y, size * rng.uniform(0.1, 0.17), hsv(hue, 0.85, 0.92), rng.uniform(0, 1))
    for _ in range(int(rng.integers(3, 7))):
        x, y = rng.uniform(0.15, 0.85) * width, rng.uniform(0.25, 0.6) * height
        green = hsv(0.31 + rng.normal(0, 0.03), 0.7, rng.uniform(0.35, 0.65))
        _leaf(draw, x, y, size * rng.uniform(0.12, 0.22), rng.uniform(0, 6.28), green)
    return array(image)


def _speckled(rng: np.random.Generator, sphere: Rgb) -> Rgb:
    spots = noise(rng, sphere.shape[0], sphere.shape[1], sphere.shape[0] / 9, 2)
    factor = (0.86 + 0.28 * spots)[..., None]
    sphere[..., :3] = np.clip(sphere[..., :3] * factor, 0, 255).astype(np.uint8)
    return sphere


def landscape(picture: Rgb, rng: np.random.Generator, hue: float) -> Rgb:
    """Ridges under a sky, a sun, trees and a field."""
    height, width = picture.shape[:2]
    scene = gradient(height, width, hsv(hue, 0.35, 0.98), hsv(hue + 0.08, 0.65, 0.8), np.pi / 2)
    image, draw = canvas(scene)
    sun, x, y = min(height, width) * rng.uniform(0.08, 0.16), rng.uniform(0.2, 0.8) * width, 0.28 * height
    disc(draw, x, y, sun, fill=hsv(0.13, 0.35, 1.0))
    layers = int(rng.integers(4, 7))
    wood = float(rng.choice((0.3, 0.36, 0.45, 0.55, 0.08)))
    for layer in range(layers):
        share = (layer + 1) / layers
        ridge = noise(rng, 1, width, width / (1.5 + layer), 5, 0.55)[0]
        base = height * (0.3 + 0.45 * share)
        top = base - ridge * height * 0.3 * (1.1 - share * 0.6)
        outline = np.stack([np.arange(width), top], axis=1)
        colour = hsv(wood + 0.05 * share, 0.3 + 0.4 * share, 0.75 - 0.45 * share)
        draw.polygon([*polygon(outline), (width, height), (0, height)], fill=colour)
        for tree in rng.integers(0, width, int(9 * share)):
            tall = height * rng.uniform(0.04, 0.1) * (0.5 + share)
            foot = float(top[tree]) + 3
            shape = [(tree - tall * 0.25, foot), (tree + tall * 0.25, foot), (tree, foot - tall)]
            draw.polygon(shape, fill=darker(colour, 0.7))
    scene = array(image)
    grain = noise(rng, height, width, 14, 3)
    scene = np.clip(scene * (0.86 + 0.28 * grain[..., None]), 0, 255).astype(np.uint8)
    return _vignetted(picture, scene, rng)


def _vignetted(picture: Rgb, scene: Rgb, rng: np.random.Generator) -> Rgb:
    height, width = picture.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    if rng.random() < 0.5:
        oval(mask, (width // 2, height // 2), (int(width * 0.46), int(height * 0.46)), (255,))
    else:
        mask[int(height * 0.05) : int(height * 0.95)] = 255
    return mix(picture, scene, mask.astype(np.float32) / 255)


def pillow(picture: Rgb, rng: np.random.Generator, hue: float) -> Rgb:
    """A contoured pillow on a soft bed of cloth, with piping, quilting and arrows."""
    height, width = picture.shape[:2]
    cloth = noise(rng, height, width, width / 3, 4)
    waves = 0.5 + 0.5 * np.sin(cloth * 22 + np.linspace(0, 7, width)[None])
    bed = ramp(0.55 * stretch(cloth) + 0.45 * waves, hsv(hue + 0.5, 0.18, 0.62), hsv(hue + 0.5, 0.1, 0.97))
    mask = np.zeros((height, width), np.float32)
    cx, cy = width * rng.uniform(0.46, 0.54), height * rng.uniform(0.48, 0.56)
    a, b, dent = width * rng.uniform(0.34, 0.41), height * rng.uniform(0.2, 0.28), rng.uniform(0.1, 0.34)
    angle = np.linspace(0, 2 * np.pi, 220)
    power = rng.uniform(0.45, 0.62)
    x = cx + a * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    drop = dent * b * np.exp(-(((x - cx) / (0.4 * a)) ** 2)) * (np.sin(angle) < 0)
    y = cy + b * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power + drop
    outline = np.stack([x, y], axis=1)
    shadow = np.zeros((height, width), np.float32)
    cv2.fillPoly(shadow, [np.asarray(outline + np.array([0, height * 0.05]), np.int32)], 1.0)
    bed = mix(bed, (20, 20, 36), cv2.GaussianBlur(shadow, (0, 0), width / 40) * 0.55)
    cv2.fillPoly(mask, [np.asarray(outline, np.int32)], 1.0, cv2.LINE_AA)
    depth = cv2.GaussianBlur(mask, (0, 0), width / 16)
    light = depth + 0.5 * (np.roll(depth, int(height * 0.06), 0) - np.roll(depth, -int(height * 0.06), 0))
    quilt = _quilting(rng, height, width)
    tones = hsv(hue, 0.6, 0.3), hsv(hue, 0.5, 0.78), hsv(hue, 0.12, 1)
    body = ramp(np.clip(light * 0.95 - 0.12 * quilt, 0, 1), *tones)
    scene = mix(bed, body, mask)
    image, draw = canvas(scene)
    closed = [*polygon(outline), (float(x[0]), float(y[0]))]
    draw.line(closed, fill=hsv(hue, 0.7, 0.5), width=max(width // 110, 2))
    return _vignetted(picture, array(image), rng)


def _quilting(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    pitch = width / rng.uniform(16, 28)
    kind = int(rng.integers(3))
    if kind == 0:
        lines = np.minimum(np.abs(np.sin((x + y) / pitch)), np.abs(np.sin((x - y) / pitch)))
    elif kind == 1:
        lines = np.abs(np.sin(y / pitch + 0.6 * np.sin(x / pitch)))
    else:
        lines = np.minimum(np.abs(np.sin(x / pitch)), np.abs(np.sin(y / pitch)))
    return np.asarray(lines < 0.16, np.float32)


def poster(picture: Rgb, rng: np.random.Generator, hue: float) -> Rgb:
    """A film still: glowing clouds, a skyline, figures in rim light, sparks."""
    height, width = picture.shape[:2]
    cloud = stretch(noise(rng, height, width, width * 0.8, 6, 0.58))
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    gx, gy = rng.uniform(0.25, 0.75), rng.uniform(0.25, 0.5)
    glow = np.exp(-(((x - gx) / 0.4) ** 2 + ((y - gy) / 0.33) ** 2))
    scene = ramp(
        np.clip(0.55 * cloud + 0.62 * glow - 0.12, 0, 1).astype(np.float32),
        hsv(hue + 0.55, 0.8, 0.08),
        hsv(hue + 0.5, 0.75, 0.4),
        hsv(hue, 0.8, 0.85),
        hsv(hue + 0.08, 0.25, 1),
    )
    image, draw = canvas(scene)
    edge = 0
    while edge < width:
        step, tall = int(rng.integers(width // 30, width // 9)), height * rng.uniform(0.08, 0.36)
        dark = hsv(hue + 0.55, 0.6, rng.uniform(0.06, 0.2))
        draw.rectangle([edge, height * 0.82 - tall, edge + step, height], fill=dark)
        for wx in range(edge + 3, edge + step - 4, 7):
            for wy in range(int(height * 0.82 - tall) + 5, int(height * 0.8), 10):
                if rng.random() < 0.3:
                    draw.rectangle([wx, wy, wx + 3, wy + 4], fill=hsv(0.13, 0.5, rng.uniform(0.5, 1)))
        edge += step
    for _ in range(int(rng.integers(1, 4))):
        x, foot = width * rng.uniform(0.2, 0.8), height * rng.uniform(0.86, 1.0)
        _figure(draw, rng, x, foot, height * rng.uniform(0.4, 0.68), hue)
    for _ in range(60):
        px, py, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.5, 2.6)
        disc(draw, px, py, r, fill=(*hsv(hue + 0.05, 0.4, 1.0), int(rng.integers(60, 220))))
    return array(image)


def _figure(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, foot: float, tall: float, hue: float
) -> None:
    unit = tall / 8
    coat = hsv(hue + rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.7), rng.uniform(0.12, 0.4))
    rim = (*hsv(hue + 0.05, 0.35, 1.0), 210)
    spread = unit * rng.uniform(0.9, 1.4)
    right = np.array(
        [(spread, 0), (unit * 0.8, -3.2 * unit), (unit * 1.3, -6.2 * unit), (unit * 0.5, -6.9 * unit)]
    )
    body = np.concatenate([right * (-1, 1), right[::-1]])
    outline = polygon(body + np.array([x, foot]))
    draw.polygon(outline, fill=coat)
    draw.line(outline[: 4 if rng.random() < 0.5 else 8], fill=rim, width=max(int(unit / 7), 1))
    skin = hsv(rng.uniform(0.04, 0.08), rng.uniform(0.3, 0.55), rng.uniform(0.45, 0.9))
    head = [x - 0.55 * unit, foot - 8 * unit, x + 0.55 * unit, foot - 6.6 * unit]
    draw.ellipse(head, fill=skin)
    draw.chord(head, 150, 390, fill=hsv(0.07, 0.5, rng.uniform(0.05, 0.4)))
    hand = (x + unit * rng.uniform(0.4, 2.2), foot - rng.uniform(3.6, 5.8) * unit)
    draw.line([(x - unit, foot - 5.6 * unit), hand], fill=coat, width=max(int(unit * 0.5), 2))


def animal(picture: Rgb, rng: np.random.Generator, hue: float) -> Rgb:
    """A cartoon animal's face with a patterned ground."""
    height, width = picture.shape[:2]
    image, draw = canvas(picture)
    size = min(height, width)
    for _ in range(int(rng.integers(14, 26))):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), size * rng.uniform(0.015, 0.05)
        shape = blob(rng, 5, 0.35) * r + (x, y)
        draw.polygon(polygon(shape), fill=(*hsv(hue + rng.uniform(-0.2, 0.5), 0.5, 0.9), 200))
    cx, cy, r = width / 2, height * 0.55, size * rng.uniform(0.28, 0.34)
    fur, dark = hsv(hue, 0.45, 0.85), hsv(hue, 0.6, 0.4)
    rim = {"outline": dark, "width": max(size // 130, 1)}
    long_ears = rng.random() < 0.5
    for side in (-1, 1):
        ex, ey = cx + side * r * 0.62, cy - r * (1.25 if long_ears else 0.8)
        a, b = r * 0.3, r * (0.75 if long_ears else 0.35)
        disc(draw, ex, ey, a, b, fill=fur, **rim)
        disc(draw, ex, ey, a * 0.5, b * 0.6, fill=hsv(hue + 0.9, 0.35, 0.95))
    disc(draw, cx, cy, r * 1.08, r, fill=fur, **rim)
    draw.ellipse([cx - r * 0.55, cy, cx + r * 0.55, cy + r * 0.8], fill=hsv(hue, 0.12, 0.97))
    eye = r * rng.uniform(0.11, 0.19)
    for side in (-1, 1):
        ex, ey = cx + side * r * 0.45, cy - r * 0.12
        disc(draw, ex, ey, eye, fill=(28, 22, 26))
        draw.ellipse([ex - eye * 0.6, ey - eye * 0.7, ex - eye * 0.05, ey - eye * 0.1], fill=(255, 255, 255))
        draw.ellipse([ex - r * 0.3, ey + r * 0.3, ex + r * 0.12, ey + r * 0.5], fill=(240, 130, 130, 110))
    draw.ellipse([cx - r * 0.14, cy + r * 0.1, cx + r * 0.14, cy + r * 0.28], fill=dark)
    for left, begin in ((cx - r * 0.3, 10), (cx, 50)):
        box = [left, cy + r * 0.1, cx if left < cx else cx + r * 0.3, cy + r * 0.55]
        draw.arc(box, begin, begin + 120, fill=dark, width=max(size // 110, 2))
    return array(image)


def device(picture: Rgb, rng: np.random.Generator, hue: float) -> Rgb:
    """A lamp in a dark room: glowing body, buttons, a cable, callout rings."""
    height, width = picture.shape[:2]
    size = min(height, width)
    dusk = noise(rng, height, width, width / 2, 3)
    room = ramp(dusk, hsv(hue + 0.6, 0.5, 0.12), hsv(hue + 0.6, 0.35, 0.34))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    cx, cy = width * 0.5, height * 0.48
    distance = np.sqrt((x - cx) ** 2 + (y - cy) ** 2) / size
    room = mix(room, hsv(hue, 0.45, 1.0), np.asarray(0.75 * np.exp(-((distance / 0.38) ** 2)), np.float32))
    image, draw = canvas(room)
    draw.rectangle([0, height * 0.8, width, height], fill=hsv(0.07, 0.5, 0.3))
    for row in np.linspace(0.82, 0.99, 5):
        draw.line([(0, height * row), (width, height * row)], fill=hsv(0.07, 0.5, 0.22), width=2)
    shape = blob(rng, int(rng.integers(4, 8)), 0.2) * (size * 0.24, size * 0.28) + (cx, cy)
    draw.polygon(polygon(shape), fill=hsv(hue, 0.25, 1.0), outline=hsv(hue, 0.5, 0.6))
    inner = (shape - (cx, cy)) * 0.72 + (cx, cy)
    draw.polygon(polygon(inner), fill=hsv(hue, 0.08, 1.0))
    foot = [cx - size * 0.2, height * 0.74, cx + size * 0.2, height * 0.84]
    draw.rounded_rectangle(foot, size * 0.02, fill=(232, 230, 226), outline=(90, 90, 96))
    for button in range(3):
        bx = cx + (button - 1) * size * 0.09
        disc(draw, bx, height * 0.78, 6, fill=hsv(hue + button * 0.2, 0.6, 0.7))
    for _ in range(int(rng.integers(2, 4))):
        rx, ry, r = rng.uniform(0.14, 0.86) * width, rng.uniform(0.12, 0.7) * height, size * 0.09
        disc(draw, rx, ry, r, outline=(255, 255, 255), width=3, fill=(*hsv(hue, 0.3, 0.9), 90))
        draw.line([(rx, ry), (cx, cy)], fill=(255, 255, 255, 160), width=2)
    return array(image)


def abstract(picture: Rgb, rng: np.random.Generator, hue: float) -> Rgb:
    """A printed pattern: tiles of arcs, triangles and dots in a few colours."""
    height, width = picture.shape[:2]
    image, draw = canvas(picture)
    tones = ((0, 0.7, 0.75), (0.06, 0.4, 0.95), (0.5, 0.35, 0.55), (0.1, 0.08, 0.97), (0, 0.5, 0.3))
    colours = [hsv(hue + shift, s, v) for shift, s, v in tones]
    cells = int(rng.integers(5, 8))
    side = max(width, height) / cells
    for row in range(int(height / side) + 1):
        for column in range(int(width / side) + 1):
            x, y = column * side, row * side
            back, front, third = (colours[i] for i in rng.choice(len(colours), 3, replace=False))
            draw.rectangle([x, y, x + side, y + side], fill=back)
            form, turn = int(rng.integers(4)), int(rng.integers(4)) * 90
            if form == 0:
                for number, share in enumerate((1.0, 0.66, 0.33)):
                    r = side * share
                    draw.pieslice([x - r, y - r, x + r, y + r], 0, 90, fill=(front, third, back)[number])
            elif form == 1:
                draw.pieslice([x, y, x + side, y + side], turn, turn + 180, fill=front)
                draw.ellipse([x + side * 0.35, y + side * 0.35, x + side * 0.65, y + side * 0.65], fill=third)
            elif form == 2:
                draw.polygon([(x, y), (x + side, y), (x, y + side)], fill=front)
                draw.line([(x, y + side), (x + side, y)], fill=third, width=max(int(side / 12), 1))
            else:
                for dot in range(9):
                    dx, dy = x + side * (0.2 + 0.3 * (dot % 3)), y + side * (0.2 + 0.3 * (dot // 3))
                    disc(draw, dx, dy, side * 0.09, fill=front)
    return array(image)


HEROES: Final[Mapping[str, Hero]] = MappingProxyType(
    {hero.__name__: hero for hero in (leaves, fruit, landscape, pillow, poster, animal, device, abstract)}
)
