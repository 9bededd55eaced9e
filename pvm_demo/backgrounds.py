"""Backgrounds of clips: tables, rooms, shelves, desks, cloth, outdoors, and the objects in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from PIL import ImageDraw

from pvm_core.evidence.typography import bundled_face
from pvm_demo.heroes import HEROES
from pvm_demo.names import Shape
from pvm_demo.paint import (
    Colour,
    Plane,
    Rgb,
    Rgba,
    array,
    blob,
    blurred,
    canvas,
    corners_of,
    darker,
    disc,
    gradient,
    hsv,
    letter,
    noise,
    oval,
    over,
    pick,
    polygon,
    ramp,
    rotation,
    solid,
    stretch,
    word,
)
from pvm_demo.solids import PROPORTIONS, Design, Sprite, view


@dataclass(frozen=True, eq=False)
class Place:
    """A background.

    Attributes:
        rgb: the picture.
        horizon: row below which things may stand; None where the camera looks down on a table.
        upright: True where a person may stand in it.
    """

    rgb: Rgb
    horizon: int | None
    upright: bool


#: (generator, height, width, designs that may stand about) -> place
Background = Callable[[np.random.Generator, int, int, Sequence[Design]], Place]


def clutter_designs(rng: np.random.Generator, count: int) -> list[Design]:
    """Small packs of no catalogue: cheap artwork, enough for things that stand about."""
    shapes: tuple[Shape, ...] = ("box", "box", "carton", "cover", "can", "bottle")
    designs = []
    for _ in range(count):
        shape = pick(rng, shapes)
        height, deep = PROPORTIONS[shape]
        tall, wide = int(150 * min(height, 1.8)), 150
        hue = float(rng.random())
        ground = gradient(tall, wide, hsv(hue, 0.6, 0.8), hsv(hue + 0.1, 0.5, 0.5), float(rng.random() * 3))
        cut = int(tall * 0.4)
        hero = pick(rng, sorted(HEROES))
        ground[cut:] = HEROES[hero](ground[cut:].copy(), rng, float(rng.random()))
        image, draw = canvas(ground)
        for row in range(3):
            text = word(rng, "AEIOULMNRSTBKH", int(rng.integers(3, 8)))
            at = (wide / 2, tall * (0.08 + 0.11 * row))
            letter(draw, at, text, bundled_face("figbo", 18 - 3 * row), hsv(hue + 0.5, 0.3, 0.95))
        body = hsv(hue, 0.5, 0.6)
        side = solid(120, max(int(60 * deep), 12), body)
        top = solid(40, 60, hsv(hue, 0.4, 0.7))
        designs.append(Design(shape, array(image), side, top, body, int(rng.integers(2**31))))
    return designs


def wood(rng: np.random.Generator, height: int, width: int) -> Rgb:
    """Boards with grain and joints, running across."""
    y = np.arange(height, dtype=np.float32)[:, None]
    warp = noise(rng, height, width, width / 2, 3) * rng.uniform(20, 60)
    fine = cv2.resize(noise(rng, height, max(width // 12, 4), 10, 3), (width, height))
    rings = 0.5 + 0.5 * np.sin((y + warp) / rng.uniform(3, 9))
    hue, value = rng.uniform(0.055, 0.1), rng.uniform(0.35, 0.9)
    picture = ramp(0.45 * rings + 0.55 * fine, hsv(hue, 0.6, value * 0.6), hsv(hue, 0.42, value))
    board = int(height / rng.uniform(2.5, 6))
    for edge in range(board, height, board):
        cv2.line(picture, (0, edge), (width, edge), hsv(hue, 0.6, value * 0.35), 2, cv2.LINE_AA)
    return picture


def stone(rng: np.random.Generator, height: int, width: int) -> Rgb:
    """Marble or concrete."""
    field = noise(rng, height, width, width / 2, 6, 0.6)
    veins = np.abs(np.sin(field * rng.uniform(14, 30)))
    value = rng.uniform(0.5, 0.97)
    plane = np.asarray(0.35 * field + 0.65 * veins**0.35, np.float32)
    return ramp(plane, hsv(rng.random(), 0.08, value * 0.6), hsv(rng.random(), 0.05, value))


def cloth(rng: np.random.Generator, height: int, width: int) -> Rgb:
    """Bed linen, carpet or a sofa: folds, weave, sometimes stripes."""
    folds = stretch(noise(rng, height, width, width / 2.5, 4))
    y, x = np.arange(height)[:, None], np.arange(width)[None]
    weave = 0.5 + 0.25 * (np.sin(x * 1.9) + np.sin(y * 1.9))
    hue, saturation = float(rng.random()), float(rng.uniform(0.05, 0.55))
    field = 0.75 * folds + 0.25 * weave
    if rng.random() < 0.4:
        field = field + 0.25 * (np.sin((x + folds * 60) / rng.uniform(6, 22)) > 0.3)
    dark = hsv(hue, saturation, rng.uniform(0.2, 0.5))
    light = hsv(hue + 0.02, saturation * 0.7, rng.uniform(0.7, 1))
    return ramp(np.asarray(np.clip(field, 0, 1), np.float32), dark, light)


SURFACES: Final = (wood, stone, cloth)


def _surface(rng: np.random.Generator, height: int, width: int) -> Rgb:
    return pick(rng, SURFACES)(rng, height, width)


def wall(rng: np.random.Generator, height: int, width: int) -> Rgb:
    """A wall with light from a window, plaster, perhaps tiles."""
    hue, saturation = float(rng.random()), float(rng.uniform(0.03, 0.35))
    value = float(rng.uniform(0.45, 0.95))
    light, dark = hsv(hue, saturation, value), hsv(hue, saturation, value * 0.62)
    picture = gradient(height, width, light, dark, float(rng.uniform(0, 3)))
    grain = noise(rng, height, width, 40, 4)[..., None]
    picture = np.clip(picture * (0.93 + 0.14 * grain), 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        step = int(width / rng.uniform(5, 11))
        line = darker(picture[0, 0], 0.8)
        for at in range(0, max(height, width), step):
            cv2.line(picture, (0, at), (width, at), line, 2, cv2.LINE_AA)
            cv2.line(picture, (at, 0), (at, height), line, 2, cv2.LINE_AA)
    return picture


def room(rng: np.random.Generator, height: int, width: int, things: Sequence[Design]) -> Place:
    """A room out of focus: wall, pictures, a plant, a sofa; a surface in front."""
    picture = wall(rng, height, width)
    image, draw = canvas(picture)
    horizon = int(height * rng.uniform(0.5, 0.7))
    if rng.random() < 0.6:
        x, y = rng.uniform(0, 0.6) * width, rng.uniform(0.02, 0.2) * height
        w, h = width * rng.uniform(0.25, 0.45), height * rng.uniform(0.2, 0.4)
        draw.rectangle([x, y, x + w, y + h], fill=hsv(0.58, 0.12, 1.0), outline=(240, 240, 236), width=8)
        draw.line([(x + w / 2, y), (x + w / 2, y + h)], fill=(236, 236, 232), width=7)
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0, 0.8) * width, rng.uniform(0.05, 0.35) * height
        w = width * rng.uniform(0.1, 0.25)
        box = [x, y, x + w, y + w * rng.uniform(0.8, 1.4)]
        colour = hsv(rng.random(), 0.5, rng.uniform(0.3, 0.9))
        draw.rectangle(box, fill=colour, outline=hsv(0.08, 0.4, 0.3), width=6)
    if rng.random() < 0.6:
        x, y = rng.uniform(0.1, 0.9) * width, horizon * rng.uniform(0.7, 1.0)
        for _ in range(26):
            leaf = blob(rng, 5, 0.3) * (width * 0.03, width * 0.075)
            at = (x + rng.normal(0, width * 0.08), y - abs(rng.normal(0, width * 0.14)))
            green = hsv(rng.uniform(0.25, 0.38), rng.uniform(0.4, 0.8), rng.uniform(0.2, 0.6))
            draw.polygon(polygon(leaf + at), fill=green)
    if rng.random() < 0.6:
        top = horizon - height * rng.uniform(0.08, 0.2)
        sofa = [-40, top, width * rng.uniform(0.6, 1.2), height]
        draw.rounded_rectangle(sofa, 50, fill=hsv(rng.random(), 0.35, rng.uniform(0.3, 0.8)))
    picture = array(image)
    picture = _stand(rng, picture, things, horizon, count=int(rng.integers(0, 4)), size=0.3)
    picture = blurred(picture, float(rng.uniform(1.5, 9)))
    return Place(_with_floor(rng, picture, horizon), horizon, upright=True)


def _with_floor(rng: np.random.Generator, picture: Rgb, horizon: int) -> Rgb:
    height, width = picture.shape[:2]
    flat = _surface(rng, 420, 520)
    spread = width * rng.uniform(0.1, 0.5)
    far = [[-spread * 0.2, horizon], [width + spread * 0.2, horizon]]
    near = [[width + 2 * spread, height], [-2 * spread, height]]
    matrix = cv2.getPerspectiveTransform(corners_of(520, 420), np.array(far + near, np.float32))
    floor = cv2.warpPerspective(
        flat, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    picture[horizon:] = floor[horizon:]
    return picture


def _stand(
    rng: np.random.Generator, picture: Rgb, things: Sequence[Design], foot: int, *, count: int, size: float
) -> Rgb:
    height, width = picture.shape[:2]
    for _ in range(count if things else 0):
        design = pick(rng, things)
        side = int(width * size * rng.uniform(0.7, 1.3))
        sprite = view(design, float(rng.uniform(-0.6, 0.6)), float(rng.uniform(0.02, 0.3)), side)
        x = int(rng.uniform(-0.05, 0.95) * width)
        y = foot - sprite.rgba.shape[0] + int(rng.uniform(0, 0.05) * height)
        picture = over(picture, sprite.rgba, x, y)
    return picture


def table(rng: np.random.Generator, height: int, width: int, things: Sequence[Design]) -> Place:
    """Looking down on a table with papers, a cable, a cup and packs."""
    top = cv2.resize(_surface(rng, height // 2, width // 2), (width, height), interpolation=cv2.INTER_CUBIC)
    image, draw = canvas(np.asarray(top, np.uint8))
    for _ in range(int(rng.integers(0, 4))):
        _paper(draw, rng, height, width)
    if rng.random() < 0.5:
        t = np.linspace(0, 1, 40)
        along = width * (rng.uniform(-0.2, 0.3) + 1.2 * t + 0.12 * np.sin(t * rng.uniform(4, 12)))
        across = height * (rng.uniform(0.1, 0.9) + 0.15 * np.sin(t * rng.uniform(3, 9)))
        cable, colour = polygon(np.stack([along, across], axis=1)), hsv(0, 0, rng.choice((0.1, 0.9)))
        draw.line(cable, fill=colour, width=int(rng.integers(5, 11)), joint="curve")
    for _ in range(int(rng.integers(0, 3))):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), width * rng.uniform(0.06, 0.13)
        cup = hsv(rng.random(), rng.uniform(0, 0.6), rng.uniform(0.5, 1))
        disc(draw, x, y, r, fill=cup, outline=darker(cup, 0.7), width=5)
        disc(draw, x, y, r * 0.8, fill=hsv(0.06, 0.7, 0.25))
    picture = array(image)
    for _ in range(int(rng.integers(1, 5)) if things else 0):
        design = pick(rng, things)
        yaw, pitch = float(rng.uniform(-0.5, 0.5)), float(rng.uniform(0.1, 0.5))
        sprite = view(design, yaw, pitch, int(width * rng.uniform(0.25, 0.5)))
        lying = turned(sprite.rgba, float(rng.uniform(-3.1, 3.1)))
        x, y = int(rng.uniform(-0.2, 0.9) * width), int(rng.uniform(-0.1, 0.9) * height)
        picture = over(picture, lying, x, y)
    return Place(picture, None, upright=False)


def _paper(draw: ImageDraw.ImageDraw, rng: np.random.Generator, height: int, width: int) -> None:
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    w, turn = width * rng.uniform(0.25, 0.5), rotation(rng.uniform(0, 3.1))
    corners = np.array([(-1, -1.4), (1, -1.4), (1, 1.4), (-1, 1.4)]) * w / 2 @ turn.T + (x, y)
    white = hsv(0.12, rng.uniform(0, 0.15), rng.uniform(0.85, 1))
    draw.polygon(polygon(corners), fill=white, outline=(150, 146, 140))
    for row in np.linspace(-1.1, 1.1, 16):
        ends = np.array([(-0.8, row), (rng.uniform(0.2, 0.8), row)]) * w / 2 @ turn.T + (x, y)
        draw.line(polygon(ends), fill=(70, 70, 80, 170), width=2)


def turned(rgba: Rgba, angle: float) -> Rgba:
    """`rgba` turned in its plane by `angle` radians, grown so that nothing is cut."""
    height, width = rgba.shape[:2]
    cosine, sine = abs(np.cos(angle)), abs(np.sin(angle))
    wide, tall = int(width * cosine + height * sine) + 2, int(width * sine + height * cosine) + 2
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), float(np.degrees(angle)), 1.0)
    matrix[:, 2] += ((wide - width) / 2, (tall - height) / 2)
    return np.asarray(cv2.warpAffine(rgba, matrix, (wide, tall), flags=cv2.INTER_LINEAR), np.uint8)


def shelf(rng: np.random.Generator, height: int, width: int, things: Sequence[Design]) -> Place:
    """A shop's or a kitchen's shelves, packed."""
    picture = gradient(height, width, hsv(0.1, 0.1, rng.uniform(0.2, 0.6)), hsv(0.1, 0.15, 0.2), np.pi / 2)
    board = hsv(rng.uniform(0.05, 0.12), rng.uniform(0, 0.5), rng.uniform(0.4, 0.95))
    rows = int(rng.integers(2, 5))
    for row in range(1, rows + 1):
        foot = int(height * row / rows) - int(height * 0.02)
        x = int(rng.uniform(-0.1, 0.05) * width)
        stock = [_on_shelf(rng, thing, height / rows) for thing in things]
        while x < width and stock:
            sprite = pick(rng, stock)
            for _ in range(int(rng.integers(1, 4))):
                picture = over(picture, sprite.rgba, x, foot - sprite.rgba.shape[0])
                x += int(sprite.rgba.shape[1] * rng.uniform(0.95, 1.1))
        cv2.rectangle(picture, (0, foot), (width, foot + int(height * 0.022)), board, -1)
        for tag in range(int(rng.integers(1, 4))):
            tx = int(width * (tag + rng.random()) / 3)
            cv2.rectangle(picture, (tx, foot + 2), (tx + 46, foot + int(height * 0.02)), (248, 244, 210), -1)
    return Place(picture, int(height * 0.55), upright=False)


def _on_shelf(rng: np.random.Generator, thing: Design, tall: float) -> Sprite:
    yaw, pitch = float(rng.normal(0, 0.2)), float(rng.uniform(0, 0.12))
    return view(thing, yaw, pitch, int(tall * rng.uniform(0.6, 0.86)))


def outdoors(rng: np.random.Generator, height: int, width: int, things: Sequence[Design]) -> Place:
    """Sky, foliage out of focus and ground."""
    horizon = int(height * rng.uniform(0.4, 0.65))
    sky = gradient(height, width, hsv(0.57, rng.uniform(0.1, 0.5), 1.0), hsv(0.1, 0.1, 0.95), np.pi / 2)
    leaves = stretch(noise(rng, height, width, width / 4, 6, 0.7))
    green = ramp(leaves, hsv(0.3, 0.7, 0.12), hsv(rng.uniform(0.2, 0.35), 0.6, 0.5), hsv(0.2, 0.4, 0.95))
    edge = (noise(rng, 1, width, width / 3, 4)[0] * height * 0.4 + height * 0.05).astype(int)
    mask = (np.arange(height)[:, None] > edge[None]).astype(np.float32)[..., None]
    picture = np.asarray(sky * (1 - mask) + green * mask, np.uint8)
    picture = blurred(picture, float(rng.uniform(2, 10)))
    foot, count = horizon + int(height * 0.03), int(rng.integers(0, 2))
    picture = _stand(rng, picture, things, foot, count=count, size=0.2)
    return Place(_with_floor(rng, picture, horizon), horizon, upright=True)


BACKGROUNDS: Final[tuple[Background, ...]] = (room, room, table, table, shelf, outdoors)


def plain(rng: np.random.Generator, height: int, width: int) -> Place:
    """A wall and a surface with nothing about."""
    horizon = int(height * rng.uniform(0.45, 0.65))
    return Place(_with_floor(rng, wall(rng, height, width), horizon), horizon, upright=True)


def skin(rng: np.random.Generator) -> Colour:
    """A colour of skin."""
    return hsv(rng.uniform(0.035, 0.075), rng.uniform(0.3, 0.58), rng.uniform(0.45, 0.95))


def finger(length: int, thick: int, colour: Colour, *, nail: bool = True, root: float = 0.45) -> Rgba:
    """A finger pointing right, or an arm where there is no nail; premultiplied RGBA (thick, length, 4).

    Its root runs out, over the share `root` of its length, into what lies behind it.
    """
    y, x = np.mgrid[0:thick, 0:length].astype(np.float32)
    r = thick / 2
    beyond = np.clip(x - (length - r), 0, None)
    distance = np.hypot(beyond, y - r + 0.5) / r
    shade = 0.62 + 0.46 * np.sqrt(np.clip(1 - distance**2, 0, 1)) - 0.12 * (y / thick)
    for share in (0.38, 0.68) if nail else ():
        shade = shade - 0.09 * np.exp(-(((x - share * length) / (0.03 * length + 1)) ** 2))
    body: Plane = np.asarray(np.asarray(colour, np.float32) * shade[..., None], np.float32)
    plate = np.hypot((x - (length - r * 0.75)) / (r * 0.55), (y - r) / (r * 0.52)) < 1
    if nail:
        body[plate] = body[plate] * 0.45 + np.array([236, 206, 196]) * 0.55
    alpha = np.clip((1 - distance) * r, 0, 1)[..., None]
    alpha = alpha * np.clip(x / (root * length + 1), 0, 1)[..., None]
    return np.concatenate([np.clip(body, 0, 255) * alpha, alpha * 255], axis=2).astype(np.uint8)


def person(rng: np.random.Generator, height: int, width: int) -> Rgba:
    """Head and shoulders out of focus, premultiplied RGBA (height, width, 4)."""
    flesh = skin(rng)
    shirt = (*hsv(rng.random(), rng.uniform(0.05, 0.7), rng.uniform(0.2, 0.95)), 255)
    hair = (*hsv(0.07, 0.5, rng.uniform(0.06, 0.4)), 255)
    rgba = np.zeros((height, width, 4), np.uint8)
    cx, r, top = width // 2, int(width * 0.17), int(height * 0.3)
    if rng.random() < 0.5:
        oval(rgba, (cx, top + r), (int(r * 1.35), int(r * 2.3)), hair)
    oval(rgba, (cx, height), (int(width * 0.46), int(height * 0.38)), shirt, (180, 360))
    neck = (cx - r // 2, top + r), (cx + r // 2, top + int(2.2 * r))
    cv2.rectangle(rgba, *neck, (*darker(flesh, 0.85), 255), -1)
    oval(rgba, (cx, top), (r, int(r * 1.3)), (*flesh, 255))
    oval(rgba, (cx, top - int(r * 0.5)), (int(r * 1.08), int(r * 0.95)), hair, (180, 360))
    for side in (-1, 1):
        oval(rgba, (cx + side * int(r * 0.4), top), (max(r // 8, 1), max(r // 11, 1)), (36, 26, 24, 255))
        inner, outer = (cx + side * int(r * share) for share in (0.22, 0.6))
        cv2.line(rgba, (inner, top - r // 4), (outer, top - r // 4), hair, max(r // 12, 1))
    oval(rgba, (cx, top + int(r * 0.62)), (r // 3, r // 8), (168, 74, 70, 255), (0, 180))
    return np.asarray(cv2.GaussianBlur(rgba, (0, 0), float(width / 70 + 1)), np.uint8)
