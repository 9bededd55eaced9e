"""Packs as bodies seen by a camera: boxes, cartons, covers, pouches, cans, bottles, cushions, mugs, plush."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pvm_demo.names import Shape
from pvm_demo.paint import (
    Colour,
    Plane,
    Points,
    Rgb,
    Rgba,
    ball,
    corners_of,
    darker,
    hsv,
    noise,
    oval,
    paste,
    smaller,
    stretch,
)

#: Height and depth of a shape as shares of its width.
PROPORTIONS: Final[dict[Shape, tuple[float, float]]] = {
    "box": (1.25, 0.38),
    "carton": (1.9, 0.8),
    "cover": (1.4, 0.09),
    "pouch": (1.45, 0.24),
    "can": (1.85, 1.0),
    "bottle": (2.7, 1.0),
    "cushion": (1.0, 0.26),
    "mug": (1.1, 1.0),
    "plush": (1.3, 0.34),
}
#: Camera distance in widths of the body: a telephone held at arm's length.
_DISTANCE: Final = 4.2
_LIGHT: Final = np.array([-0.45, -0.6, 0.66], np.float32)


@dataclass(frozen=True, eq=False)
class Design:
    """A product's shape and artwork.

    Attributes:
        shape: kind of body.
        front: artwork of the front, RGB.
        side: artwork of the right and left face, RGB.
        top: artwork of the top, RGB.
        body: colour of what carries no artwork (cap, foil, handle, fur).
        grain: seed of creases and fur.
    """

    shape: Shape
    front: Rgb
    side: Rgb
    top: Rgb
    body: Colour
    grain: int


@dataclass(frozen=True, eq=False)
class Sprite:
    """A body seen by a camera.

    Attributes:
        rgba: premultiplied RGBA uint8 (H, W, 4).
        quad: the front's corners, float32 (4, 2), clockwise from the artwork's top left; pixels of `rgba`.
    """

    rgba: Rgba
    quad: Points


def view(design: Design, yaw: float, pitch: float, size: int) -> Sprite:
    """`design` turned by `yaw` (right side comes to the front where positive) and seen from `pitch` above.

    Args:
        yaw, pitch: radians; |yaw| <= 1.0 and |pitch| <= 0.7 look natural.
        size: longest side of the result in pixels, about.
    """
    if design.shape in ("box", "carton", "cover"):
        return _faces(design, yaw, pitch, size)
    if design.shape in ("can", "bottle", "mug"):
        return _round(design, yaw, pitch, size)
    return _soft(design, yaw, pitch, size)


def _turn(yaw: float, pitch: float) -> NDArray[np.float32]:
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    around = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    over = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    return np.asarray(over @ around, np.float32)


def _project(points: NDArray[np.float32]) -> Points:
    """Pinhole projection of (N, 3); x right, y down, z towards the camera, which stands at z = distance."""
    scale = _DISTANCE / (_DISTANCE - points[:, 2:3])
    return np.asarray(points[:, :2] * scale, np.float32)


def _fit(points: Points, size: int, margin: int = 3) -> tuple[Points, int, int]:
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (size - 2 * margin) / float((high - low).max())
    placed = (points - low) * scale + margin
    width, height = np.ceil((high - low) * scale).astype(int) + 2 * margin
    return placed.astype(np.float32), int(width), int(height)


def _boxes(design: Design) -> list[tuple[NDArray[np.float32], Rgb]]:
    """Quads in space, clockwise from the artwork's top left as seen from outside, each with its artwork."""
    h, d = PROPORTIONS[design.shape]
    x, y, z = 0.5, h / 2, d / 2
    front = [(-x, -y, z), (x, -y, z), (x, y, z), (-x, y, z)]
    right = [(x, -y, z), (x, -y, -z), (x, y, -z), (x, y, z)]
    left = [(-x, -y, -z), (-x, -y, z), (-x, y, z), (-x, y, -z)]
    faces = [(front, design.front), (right, design.side), (left, design.side)]
    if design.shape == "carton":
        ridge = -y - 0.34
        faces += [
            ([(-x, ridge, 0), (x, ridge, 0), (x, -y, z), (-x, -y, z)], design.top),
            (
                [(-x, ridge - 0.16, 0), (x, ridge - 0.16, 0), (x, ridge, 0), (-x, ridge, 0)],
                design.top[: len(design.top) // 3],
            ),
        ]
    else:
        faces.append(([(-x, -y, -z), (x, -y, -z), (x, -y, z), (-x, -y, z)], design.top))
        faces.append(([(-x, y, z), (x, y, z), (x, y, -z), (-x, y, -z)], design.top))
    return [(np.array(quad, np.float32), art) for quad, art in faces]


def _faces(design: Design, yaw: float, pitch: float, size: int) -> Sprite:
    turn = _turn(yaw, pitch)
    bodies = [(quad @ turn.T, art) for quad, art in _boxes(design)]
    flat, width, height = _fit(np.concatenate([_project(quad) for quad, _ in bodies]), size)
    rgba = np.zeros((height, width, 4), np.uint8)
    order = sorted(range(len(bodies)), key=lambda i: float(bodies[i][0][:, 2].mean()))
    for index in order:
        quad, art = bodies[index]
        corners = flat[4 * index : 4 * index + 4]
        if _signed_area(corners) < 2:
            continue
        rgba = _lay(rgba, _lit(art, _normal(quad), glossy=design.shape == "cover"), corners)
    return Sprite(rgba, flat[:4].copy())


def _signed_area(corners: Points) -> float:
    x, y = corners[:, 0], corners[:, 1]
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def _normal(quad: NDArray[np.float32]) -> NDArray[np.float32]:
    normal = np.cross(quad[1] - quad[0], quad[3] - quad[0])
    return np.asarray(normal / max(float(np.linalg.norm(normal)), 1e-6), np.float32)


def _lit(art: Rgb, normal: NDArray[np.float32], *, glossy: bool) -> Rgb:
    facing = max(float(normal @ _LIGHT), 0.0)
    shade = 0.5 + 0.56 * facing
    height, width = art.shape[:2]
    fall = np.linspace(1.04, 0.93, height, dtype=np.float32)[:, None, None]
    lit = art * (shade * fall)
    if glossy:
        x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
        streak = np.exp(-(((x + 0.45 * y - 0.62 + normal[0]) / 0.16) ** 2))[..., None]
        lit = lit + 26 * streak
    return np.clip(lit, 0, 255).astype(np.uint8)


def _lay(rgba: Rgba, art: Rgb, corners: Points) -> Rgba:
    left, top = np.floor(corners.min(axis=0)).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
    local = corners - np.array([left, top], np.float32)
    shrink = art.shape[1] / max(float(np.linalg.norm(corners[1] - corners[0])), 4.0)
    if shrink > 1.6:
        # Warping down by more than that aliases; the area filter first keeps print crisp but clean.
        art = smaller(art, 1.25 / shrink)
    size = (int(right - left), int(bottom - top))
    matrix = cv2.getPerspectiveTransform(corners_of(art.shape[1], art.shape[0]), local)
    colour = cv2.warpPerspective(art, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros(size[::-1], np.uint8)
    cv2.fillConvexPoly(mask, np.round(local * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    alpha = cv2.cvtColor(mask, cv2.COLOR_GRAY2RGB)
    place = rgba[top:bottom, left:right]
    rest = cv2.cvtColor(255 - mask, cv2.COLOR_GRAY2RGBA)
    rest[..., 3] = 255 - mask
    face = np.dstack([cv2.multiply(colour, alpha, scale=1 / 255), mask])
    rgba[top:bottom, left:right] = cv2.add(cv2.multiply(place, rest, scale=1 / 255), face)
    return rgba


def _profile(shape: Shape, share: Plane) -> Plane:
    """Radius, 0.5 at the body, at a height `share` in [0, 1] from the foot."""
    points = {
        "can": ((0, 0.42), (0.03, 0.47), (0.06, 0.5), (0.91, 0.5), (0.97, 0.44), (1, 0.44)),
        "bottle": (
            *((0, 0.46), (0.02, 0.5), (0.62, 0.5), (0.72, 0.42)),
            *((0.78, 0.24), (0.82, 0.2), (0.825, 0.25), (1, 0.25)),
        ),
        "mug": ((0, 0.46), (0.04, 0.5), (1, 0.5)),
    }[shape if shape in ("can", "bottle") else "mug"]
    at, radius = zip(*points, strict=True)
    return np.asarray(np.interp(share, at, radius), np.float32)


#: Heights between which the artwork lies on a round body, shares from the foot.
_LABEL: Final[dict[Shape, tuple[float, float]]] = {
    "can": (0.06, 0.92),
    "bottle": (0.06, 0.6),
    "mug": (0.06, 0.96),
}


def _round(design: Design, yaw: float, pitch: float, size: int) -> Sprite:
    tall = PROPORTIONS[design.shape][0]
    pitch = max(pitch, 0.02)
    sine, cosine = float(np.sin(pitch)), float(np.cos(pitch))
    handle = 0.42 if design.shape == "mug" else 0.0
    scale = (size - 6) / max(tall * cosine + sine, 1.0 + handle)
    height, width = int((tall * cosine + sine) * scale) + 6, int((1.0 + handle) * scale) + 6
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    x = (columns - 3) / scale - 0.5
    y = (rows - 3) / scale - 0.5 * sine
    level = np.clip(1 - y / (tall * cosine), 0, 1)
    for _ in range(5):
        radius = _profile(design.shape, level)
        forward = np.sqrt(np.clip(1 - (x / radius) ** 2, 0, 1))
        level = np.clip(1 - (y - radius * forward * sine) / (tall * cosine), -0.5, 1.5).astype(np.float32)
    radius = _profile(design.shape, level)
    inside = np.clip((radius - np.abs(x)) * scale, 0, 1)
    for end in (level, 1 - level):
        inside = inside * np.clip(end * tall * scale + 1, 0, 1)
    around = np.arcsin(np.clip(x / radius, -1, 1))
    colour = _round_colour(design, around + yaw, level)
    colour = _round_light(colour, around, metal=design.shape == "can")
    rgba = np.concatenate([colour * inside[..., None], 255 * inside[..., None]], axis=2)
    rgba = _lid(rgba.clip(0, 255).astype(np.uint8), design, scale, sine)
    if handle:
        rgba = _handle(rgba, design, scale, cosine)
    return Sprite(rgba, _round_quad(design, yaw, scale, tall, sine, cosine))


def _round_colour(design: Design, angle: Plane, level: Plane) -> Plane:
    low, high = _LABEL[design.shape]
    # The front covers 150 degrees of the body, the side face the rest.
    span = np.deg2rad(150)
    wrapped = (angle + np.pi) % (2 * np.pi) - np.pi
    v = np.clip((high - level) / (high - low), 0, 1)
    front = _sampled(design.front, wrapped / span + 0.5, v, cv2.INTER_AREA)
    rest = (np.abs(wrapped) - span / 2) / (np.pi - span / 2)
    side = _sampled(design.side, np.clip(rest, 0, 1), v)
    colour = np.where((np.abs(wrapped) <= span / 2)[..., None], front, side).astype(np.float32)
    bare = ((level < low) | (level > high))[..., None]
    return np.asarray(np.where(bare, np.asarray(design.body, np.float32), colour), np.float32)


def _sampled(art: Rgb, u: Plane, v: Plane, method: int = cv2.INTER_LINEAR) -> Rgb:
    """`art` at the places (u, v), shares of its width and height; edges go on for ever."""
    height, width = art.shape[:2]
    x, y = (u * (width - 1)).astype(np.float32), (v * (height - 1)).astype(np.float32)
    return np.asarray(cv2.remap(art, x, y, method, borderMode=cv2.BORDER_REPLICATE), art.dtype)


def _round_light(colour: Plane, around: Plane, *, metal: bool) -> Plane:
    shade = 0.42 + 0.66 * np.clip(np.cos(around + 0.45), 0, 1)
    gloss = 70 * np.exp(-(((around + 0.62) / 0.1) ** 2)) + 34 * np.exp(-(((around - 0.85) / 0.13) ** 2))
    return np.asarray(colour * shade[..., None] + (1.3 if metal else 0.75) * gloss[..., None], np.float32)


def _lid(rgba: Rgba, design: Design, scale: float, sine: float) -> Rgba:
    radius = float(_profile(design.shape, np.float32(1.0)))  # type: ignore[arg-type]
    centre = (int(16 * (3 + 0.5 * scale)), int(16 * (3 + 0.5 * sine * scale)))
    grey = (
        (198, 200, 204) if design.shape == "can" else tuple(min(255, int(c * 1.1 + 12)) for c in design.body)
    )
    inner = (150, 153, 158) if design.shape == "can" else (58, 44, 36) if design.shape == "mug" else grey
    for share, colour in ((1.0, grey), (0.86, inner)):
        axes = (int(16 * radius * share * scale), max(int(16 * radius * share * sine * scale), 1))
        oval(rgba, centre, axes, (*colour, 255), shift=4)
    if design.shape == "can":
        axes = (int(16 * 0.12 * scale), max(int(16 * 0.12 * sine * scale), 1))
        oval(rgba, centre, axes, (222, 224, 228, 255), shift=4)
    return rgba


def _handle(rgba: Rgba, design: Design, scale: float, cosine: float) -> Rgba:
    below = np.zeros_like(rgba)
    centre = (int(3 + 1.0 * scale), int(3 + 0.58 * scale * cosine))
    thick = int(0.11 * scale)
    for extra, factor in ((0, 0.72), (-thick // 3, 0.95)):
        axes, colour = (int(0.27 * scale), int(0.33 * scale)), (*darker(design.body, factor), 255)
        oval(below, centre, axes, colour, (-115, 115), thick + extra)
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.clip(below * (1 - alpha) + rgba, 0, 255).astype(np.uint8)


def _round_quad(design: Design, yaw: float, scale: float, tall: float, sine: float, cosine: float) -> Points:
    low, high = _LABEL[design.shape]
    corners = []
    for level, side in ((high, -1), (high, 1), (low, 1), (low, -1)):
        angle = float(np.clip(side * 1.15 - yaw, -1.5, 1.5))
        y = (1 - level) * tall * cosine + 0.5 * np.cos(angle) * sine + 0.5 * sine
        corners.append((3 + (0.5 + 0.5 * np.sin(angle)) * scale, 3 + y * scale))
    return np.array(corners, np.float32)


def _soft(design: Design, yaw: float, pitch: float, size: int) -> Sprite:
    """A front that bulges: seen by inverting the projection of a height field by fixed-point steps."""
    tall, depth = PROPORTIONS[design.shape]
    # A height field has no back: beyond this turn its rim would fold over.
    turn = _turn(0.55 * yaw, 0.7 * pitch)
    u, v = np.meshgrid(np.linspace(0, 1, 65, dtype=np.float32), np.linspace(0, 1, 65, dtype=np.float32))
    bulge = _bulge(design, u, v) * depth
    flat = np.stack([u - 0.5, (v - 0.5) * tall, np.zeros_like(u)], axis=-1).reshape(-1, 3)
    raised = flat + np.stack([np.zeros_like(u), np.zeros_like(u), bulge], axis=-1).reshape(-1, 3)
    ends = _project(np.concatenate([flat[[0, 64, 65 * 65 - 1, 65 * 64]], raised]) @ turn.T)
    placed, width, height = _fit(ends, size)
    quad = placed[:4]
    drift = (placed[4:] - _affine_of(flat, quad, tall)).reshape(65, 65, 2)
    # The inverse is smooth: a third of the pixels each way is enough, the rest is interpolated.
    rows, columns = np.mgrid[-1 : height // 3 + 3, -1 : width // 3 + 3].astype(np.float32) * 3
    to_flat = cv2.getPerspectiveTransform(quad, corners_of(1, 1))
    at = _unproject(columns, rows, to_flat)
    for _ in range(5):
        shift = cv2.remap(
            drift, at[..., 0] * 64, at[..., 1] * 64, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        at = _unproject(columns - shift[..., 0], rows - shift[..., 1], to_flat)
    fine = cv2.resize(at, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)[4 : 4 + height, 4 : 4 + width]
    return Sprite(_soft_paint(design, np.ascontiguousarray(fine), size), quad.copy())


def _affine_of(flat: NDArray[np.float32], quad: Points, tall: float) -> Points:
    unit = np.stack([flat[:, 0] + 0.5, flat[:, 1] / tall + 0.5], axis=1).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(corners_of(1, 1), quad)
    return np.asarray(cv2.perspectiveTransform(unit[:, None], matrix)[:, 0], np.float32)


def _unproject(x: Plane, y: Plane, matrix: NDArray[Any]) -> Plane:
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / w
    v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / w
    return np.stack([u, v], axis=-1).astype(np.float32)


def _hump(at: Plane) -> Plane:
    """0 at the ends of [0, 1], 1 in the middle."""
    return np.asarray(np.clip(np.sin(np.pi * np.clip(at, 0, 1)), 0, 1), np.float32)


def _bulge(design: Design, u: Plane, v: Plane) -> Plane:
    if design.shape == "pouch":
        return np.asarray(0.8 * _hump(u) ** 0.6 * _hump(v * 0.92 + 0.08) ** 0.9, np.float32)
    rim = np.clip(np.minimum.reduce([u, 1 - u, v, 1 - v]) * 4, 0, 1)
    return np.asarray(np.sin(rim * np.pi / 2) ** 0.8 * 0.9, np.float32)


#: Head, body, ear, arm and leg of a plush animal: how far from its middle, how low, width and height.
_PLUSH_PARTS: Final = (
    (0, 0.36, 0.36, 0.27), (0, 0.74, 0.33, 0.27), (0.25, 0.11, 0.13, 0.11), (0.33, 0.66, 0.14, 0.1),
    (0.2, 0.93, 0.14, 0.1),
)  # fmt: skip


def _outline(design: Design, at: Plane) -> Plane:
    """How far inside the outline each point of the front lies, in shares of its width."""
    u, v = at[..., 0], at[..., 1]
    edge = np.minimum.reduce([u, 1 - u, v, 1 - v])
    if design.shape == "cushion":
        # Pulled in at the middle of each side, pointed at the corners.
        along = np.where(np.minimum(u, 1 - u) < np.minimum(v, 1 - v), _hump(v), _hump(u))
        return np.asarray(edge - 0.045 * along, np.float32)
    if design.shape == "plush":
        parts = [
            1 - np.hypot((u - 0.5 - s * x) / wide, (v - y) / tall)
            for x, y, wide, tall in _PLUSH_PARTS
            for s in (-1, 1)
        ]
        return np.asarray(np.maximum.reduce(parts) * 0.2, np.float32)
    return np.asarray(edge, np.float32)


def _soft_paint(design: Design, at: Plane, size: int) -> Rgba:
    art = _plush_art(design) if design.shape == "plush" else design.front
    u, v = np.ascontiguousarray(at[..., 0]), np.ascontiguousarray(at[..., 1])
    shrink = art.shape[0] / size
    if shrink > 1.6:
        art = smaller(art, 1.25 / shrink)
    colour = _sampled(art, u, v).astype(np.float32)
    inside = _outline(design, at)
    field = _relief(design, u, v, inside)
    gx, gy = cv2.Sobel(field, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(field, cv2.CV_32F, 0, 1, ksize=3)
    steep = np.float32(size / 14)
    facing = (_LIGHT[2] - steep * (_LIGHT[0] * gx + _LIGHT[1] * gy)) / cv2.sqrt(
        1 + steep * steep * (gx * gx + gy * gy)
    )
    facing = np.clip(facing, 0, 1)
    lit = colour * (np.float32(0.36) + np.float32(0.86) * facing)[..., None]
    if design.shape == "pouch":
        lit += (60 * cv2.pow(facing, 18))[..., None]
    alpha = np.clip(inside * size * 0.8 + 0.5, 0, 1)[..., None]
    return np.concatenate([np.clip(lit, 0, 255) * alpha, 255 * alpha], axis=2).astype(np.uint8)


def _relief(design: Design, u: Plane, v: Plane, inside: Plane) -> Plane:
    rng = np.random.default_rng([design.grain, 7])
    height, width = u.shape
    fine = noise(rng, 256, 256, 40 if design.shape != "plush" else 4, 3)
    on = cv2.remap(fine, np.clip(u, 0, 1) * 255, np.clip(v, 0, 1) * 255, cv2.INTER_LINEAR)
    depth = {"pouch": 0.05, "cushion": 0.028, "plush": 0.007}[design.shape]
    raised = np.sqrt(np.clip(inside, 0, 1)) * 1.1 if design.shape == "plush" else _bulge(design, u, v)
    field = raised * 0.3 + depth * on
    if design.shape == "pouch":
        seal = np.minimum(v, 1 - v) < 0.055
        field = np.where(seal, 0.004 * np.sin(v * 700), field)
    sigma = max(width, height) / 500 + 0.3
    return np.asarray(cv2.GaussianBlur(np.asarray(field, np.float32), (0, 0), sigma), np.float32)


def _plush_art(design: Design) -> Rgb:
    rng = np.random.default_rng([design.grain, 9])
    tuft = stretch(noise(rng, 520, 400, 7, 3, 0.8))[..., None]
    art = np.clip(np.asarray(design.body, np.float32) * (0.82 + 0.3 * tuft), 0, 255).astype(np.uint8)
    pale = tuple(min(255, int(c * 0.5 + 125)) for c in design.body)
    for centre, axes in (((200, 400), (70, 88)), ((200, 215), (58, 44))):
        oval(art, centre, axes, pale)
    for side in (-1, 1):
        art = paste(art, ball(30, (30, 24, 26)), 200 + side * 62 - 15, 160)
        oval(art, (200 + side * 100, 60), (24, 26), hsv(0.95, 0.3, 0.9))
    art = paste(art, ball(36, (52, 32, 34)), 182, 186)
    oval(art, (200, 226), (20, 16), (52, 32, 34), (10, 170), 3)
    cv2.rectangle(art, (140, 292), (260, 312), hsv(rng.random(), 0.8, 0.75), -1)
    return art
