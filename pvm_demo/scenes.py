"""Scenes: a product (or none) in a place, through a telephone's camera; the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pvm_core.images import decode_stored, encode_jpeg
from pvm_demo.backgrounds import BACKGROUNDS, Place, clutter_designs, finger, person, plain, skin
from pvm_demo.paint import Plane, Points, Rgb, Rgba, blurred, corners_of, over, pick
from pvm_demo.products import SyntheticProduct
from pvm_demo.solids import Design, Sprite, view

#: Frame of a vertical clip, (height, width) pixels.
VERTICAL = (960, 540)
#: The stage is painted this much larger than the frame, so that the camera may pan.
_STAGE = 1.16

Matrix = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scene:
    """A finished picture and its truth.

    Attributes:
        rgb: the picture, uint8 (H, W, 3).
        quad: corners of the product's front, float32 (4, 2), clockwise from its artwork's top left, in
            pixels of `rgb`; None where there is no product.
        visible: share of the product's area on the picture and not covered, [0, 1]; 0 without a product.
    """

    rgb: Rgb
    quad: Points | None
    visible: float


@dataclass(frozen=True, eq=False)
class Layer:
    """A sprite in the stage: premultiplied RGBA and where it goes (sprite pixels -> stage pixels)."""

    rgba: Rgba
    matrix: Matrix


@dataclass(frozen=True, eq=False)
class Camera:
    """Light and lens of a shot.

    Attributes:
        table: what becomes of each channel's values, uint8 (1, 256, 3).
        field: light over the frame in 1/128, uint8 (H, W, 3); 128 leaves a pixel as it is.
        glare: light added, uint8 (H, W, 3).
        defocus: sigma in pixels.
        motion: length of the smear in pixels, 0 for none; `direction` in radians.
        reduction: the sensor's sharpness as a share of the frame's resolution, (0, 1].
        plus, minus: the sensor's noise, uint8 (H + 64, W + 64, 3), added and subtracted.
        quality: JPEG quality of a still.
    """

    table: NDArray[np.uint8]
    field: NDArray[np.uint8]
    glare: NDArray[np.uint8]
    defocus: float
    motion: float
    direction: float
    reduction: float
    plus: NDArray[np.uint8]
    minus: NDArray[np.uint8]
    quality: int


@dataclass(frozen=True, eq=False)
class Stage:
    """A shot before the camera moves.

    Attributes:
        ground: the place, RGB, larger than the frame by `_STAGE`.
        behind, before: sprites behind and before the product.
        product: the product's sprite, or None.
        quad: the product's front in sprite pixels.
        camera: light and lens.
        size: (height, width) of the frame.
    """

    ground: Rgb
    behind: tuple[Layer, ...]
    product: Layer | None
    quad: Points | None
    before: tuple[Layer, ...]
    camera: Camera
    size: tuple[int, int]

    @property
    def centred(self) -> Matrix:
        """Stage pixels -> frame pixels with the camera at rest."""
        height, width = self.ground.shape[:2]
        return shift((self.size[1] - width) / 2, (self.size[0] - height) / 2)


def shift(x: float, y: float) -> Matrix:
    """A translation."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float32)


def scaling(x: float, y: float) -> Matrix:
    """A change of scale along both axes."""
    return np.diag([x, y, 1.0]).astype(np.float32)


def similar(scale: float, angle: float, about: tuple[float, float], to: tuple[float, float]) -> Matrix:
    """Scale and turn around `about`, which moves to `to`."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
    return np.asarray(shift(*to) @ turn @ shift(-about[0], -about[1]), np.float32)


def apply(matrix: Matrix, points: Points) -> Points:
    """`points` (N, 2) through a homography."""
    return np.asarray(cv2.perspectiveTransform(points[:, None].astype(np.float32), matrix)[:, 0], np.float32)


def render_scene(
    product: SyntheticProduct | None,
    rng: np.random.Generator,
    difficulty: float,
    *,
    size: tuple[int, int] = VERTICAL,
    clutter: Sequence[Design] = (),
) -> Scene:
    """One picture of `product` somewhere, as a telephone would take it, JPEG included.

    Args:
        product: what is shown on purpose, or None for a scene without any.
        difficulty: [0, 1]; 0 is near, frontal, well lit and sharp.
        size: (height, width) of the picture.
        clutter: designs that may stand about; where empty, some are made up.
    """
    stage = make_stage(product.design if product else None, rng, difficulty, size=size, clutter=clutter)
    return stage_scene(stage)


def stage_scene(stage: Stage) -> Scene:
    """The stage as a still."""
    rgb = photograph(stage, stage.centred, step=0)
    rgb = decode_stored(encode_jpeg(rgb, stage.camera.quality))
    if stage.product is None or stage.quad is None:
        return Scene(rgb, None, 0.0)
    quad = apply(np.asarray(stage.centred @ stage.product.matrix, np.float32), stage.quad)
    return Scene(rgb, quad, visible_share(stage))


def make_stage(
    design: Design | None,
    rng: np.random.Generator,
    difficulty: float,
    *,
    size: tuple[int, int] = VERTICAL,
    clutter: Sequence[Design] = (),
) -> Stage:
    """The place, the product in it, what covers it, light and lens."""
    height, width = int(size[0] * _STAGE), int(size[1] * _STAGE)
    things = clutter or clutter_designs(rng, int(rng.integers(2, 5)))
    if rng.random() < 0.25 * (1 - difficulty):
        place = plain(rng, height, width)
    else:
        place = pick(rng, BACKGROUNDS)(rng, height, width, things)
    behind: list[Layer] = []
    if place.upright and rng.random() < 0.4:
        behind.append(_person(rng, height, width))
    camera = make_camera(rng, difficulty, size)
    if design is None:
        return Stage(place.rgb, tuple(behind), None, None, (), camera, size)
    held = rng.random() < 0.4
    sprite, layer = _place(design, rng, difficulty, size, place, held=held)
    if held:
        back, before = _hands(rng, sprite, layer, difficulty)
    else:
        back, before = (_shadow(layer, rng, (height, width)),), ()
    if rng.random() < 0.3 * difficulty:
        before = (*before, _obstacle(rng, things, sprite, layer))
    return Stage(place.rgb, (*behind, *back), layer, sprite.quad, before, camera, size)


def _place(
    design: Design,
    rng: np.random.Generator,
    difficulty: float,
    size: tuple[int, int],
    place: Place,
    *,
    held: bool,
) -> tuple[Sprite, Layer]:
    yaw = float(rng.uniform(-1, 1) * (0.12 + 0.6 * difficulty))
    pitch = float(rng.uniform(-0.06, 0.12) + rng.uniform(-0.25, 0.55) * difficulty)
    reach = min(size) * float(rng.uniform(0.62 - 0.34 * difficulty, 0.95 - 0.2 * difficulty))
    standing = place.horizon is not None and not held
    sprite = view(design, yaw, abs(pitch) if standing else pitch, int(max(reach * 1.08, 40)))
    angle = float(rng.normal(0, 0.025 if standing else 0.05 + 0.28 * difficulty))
    if not standing and rng.random() < 0.14 * difficulty:
        angle += float(rng.choice((-1, 1)) * np.pi / 2)
    tall, wide = sprite.rgba.shape[:2]
    scale = reach / max(tall, wide)
    height, width = place.rgb.shape[:2]
    x = width / 2 + float(rng.uniform(-1, 1)) * max(size[1] - reach * 0.9, 0) / 2 * 0.85
    y = height / 2 + float(rng.uniform(-0.75, 1)) * max(size[0] - reach * 0.9, 0) / 2 * 0.6
    if standing and place.horizon is not None:
        lowest = height * 0.9
        foot = float(rng.uniform(min(place.horizon + 0.12 * height, lowest), lowest))
        y = max(foot - scale * tall / 2, 0.07 * height + scale * tall / 2)
    matrix = similar(scale, angle, (wide / 2, tall / 2), (x, y))
    tilt = rng.normal(0, 0.00012 * difficulty, 2)
    lean = np.array([[1, 0, 0], [0, 1, 0], [tilt[0], tilt[1], 1]], np.float32)
    about = shift(x, y) @ lean @ shift(-x, -y)
    return sprite, Layer(sprite.rgba, np.asarray(about @ matrix, np.float32))


def _shadow(layer: Layer, rng: np.random.Generator, stage: tuple[int, int]) -> Layer:
    """A soft shadow on the background, at a quarter of the size."""
    small = scaling(0.25, 0.25)
    offset = shift(float(rng.uniform(-22, 22)), float(rng.uniform(4, 34)))
    size = (stage[1] // 4, stage[0] // 4)
    alpha = cv2.warpPerspective(layer.rgba[..., 3], small @ offset @ layer.matrix, size)
    alpha = cv2.GaussianBlur(alpha, (0, 0), float(rng.uniform(2, 7)))
    rgba = np.zeros((*alpha.shape, 4), np.uint8)
    rgba[..., 3] = (alpha * rng.uniform(0.25, 0.6)).astype(np.uint8)
    return Layer(rgba, np.linalg.inv(small).astype(np.float32))


def _person(rng: np.random.Generator, height: int, width: int) -> Layer:
    wide = int(min(width, 0.8 * height) * rng.uniform(0.7, 1.1))
    rgba = person(rng, int(wide * 1.15), wide)
    x = rng.uniform(-0.3 * wide, width - 0.7 * wide)
    return Layer(rgba, shift(float(x), float(height - rgba.shape[0] * rng.uniform(0.75, 1.0))))


def _hands(
    rng: np.random.Generator, sprite: Sprite, layer: Layer, difficulty: float
) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """A hand from one side or from below: arm behind, fingers before the product's edge."""
    colour = skin(rng)
    tall, wide = sprite.rgba.shape[:2]
    thick = int(max(wide, tall) * rng.uniform(0.1, 0.15))
    side = int(rng.integers(3))
    at = rng.uniform(0.35, 0.75)
    base = {0: (0.0, at * tall, 0.0), 1: (wide, at * tall, np.pi), 2: (at * wide, tall, -np.pi / 2)}[side]
    reach = (0.12 + 0.16 * difficulty) * wide
    fingers: list[Layer] = []
    count = 1 if rng.random() < 0.5 else int(rng.integers(2, 5))
    for number in range(count):
        length = int(thick * rng.uniform(2.0, 2.6) + reach)
        piece = finger(max(length, 8), max(thick, 6), colour)
        along = (number - (count - 1) / 2) * thick * 0.96
        angle = base[2] + float(rng.normal(0, 0.12))
        x, y = (base[0], base[1] + along) if side < 2 else (base[0] + along, base[1])
        placed = similar(1.0, angle, (length - reach * float(rng.uniform(0.6, 1.2)), thick / 2), (x, y))
        fingers.append(Layer(piece, np.asarray(layer.matrix @ placed, np.float32)))
    bend = base[2] + float(rng.normal(0, 0.15))
    behind = []
    for length, girth, beyond, root in (
        (max(int(wide * 2.4), 1100), 2.7, -1.6, 0.0),
        (int(thick * 5), 4.3, 0.9, 0.5),
    ):
        part = finger(length, int(thick * girth), colour, nail=False, root=root)
        place = similar(1.0, bend, (length - thick * beyond, part.shape[0] / 2), base[:2])
        behind.append(Layer(part, np.asarray(layer.matrix @ place, np.float32)))
    return tuple(behind), tuple(fingers)


def _obstacle(rng: np.random.Generator, things: Sequence[Design], sprite: Sprite, layer: Layer) -> Layer:
    tall, wide = sprite.rgba.shape[:2]
    thing = pick(rng, things)
    sight = view(thing, float(rng.uniform(-0.5, 0.5)), 0.1, int(tall * rng.uniform(0.4, 0.7)))
    corner = (wide * float(rng.choice((0.02, 0.98))), tall * float(rng.uniform(0.75, 1.05)))
    middle = (sight.rgba.shape[1] / 2, sight.rgba.shape[0] / 2)
    placed = similar(1.0, float(rng.normal(0, 0.2)), middle, corner)
    return Layer(sight.rgba, np.asarray(layer.matrix @ placed, np.float32))


def make_camera(rng: np.random.Generator, difficulty: float, size: tuple[int, int]) -> Camera:
    """Light and lens of a shot of this difficulty."""
    height, width = size
    gamma = float(np.exp(rng.normal(0, 0.1 + 0.22 * difficulty)))
    gain = np.exp(rng.normal(0, 0.02 + 0.08 * difficulty, 3))
    gain = gain * np.exp(rng.normal(0, 0.04 + 0.12 * difficulty))
    levels = np.linspace(0, 1, 256)[:, None]
    lift = rng.uniform(0, 0.08 * difficulty)
    table = np.clip((lift + (1 - lift) * levels**gamma * gain) * 255, 0, 255).astype(np.uint8)[None]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    turn = float(rng.uniform(0, 6.28))
    slope = rng.uniform(0.05, 0.12 + 0.3 * difficulty)
    field = 1 - slope * (x * np.cos(turn) + y * np.sin(turn)) - rng.uniform(0, 0.22) * (x * x + y * y) / 2
    glare = _glare(rng, difficulty, x, y)
    sigma = rng.uniform(0.8, 2.5 + 6.0 * difficulty)
    # Made at a smaller size: a telephone's noise is smeared by its own noise reduction.
    specks = rng.standard_normal((height * 2 // 3, width * 2 // 3), np.float32) * np.float32(1.5 * sigma)
    grain = cv2.resize(specks, (width + 64, height + 64), interpolation=cv2.INTER_LINEAR)
    return Camera(
        table=table,
        field=_three(np.clip(field * 128, 20, 255)),
        glare=_three(glare),
        defocus=float(max(rng.normal(0.2, 0.35 + 0.7 * difficulty), 0)),
        motion=float(max(rng.normal(-2, 2 + 5 * difficulty), 0)),
        direction=float(rng.uniform(0, np.pi)),
        reduction=float(rng.uniform(1 - 0.5 * difficulty, 1)),
        plus=_three(np.clip(grain, 0, 255)),
        minus=_three(np.clip(-grain, 0, 255)),
        quality=int(rng.integers(88 - int(48 * difficulty), 95)),
    )


def _three(plane: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(plane.astype(np.uint8), cv2.COLOR_GRAY2RGB), np.uint8)


def _glare(rng: np.random.Generator, difficulty: float, x: Plane, y: Plane) -> NDArray[np.uint8]:
    total = np.zeros((y.shape[0], x.shape[1]), np.float32)
    for _ in range(int(rng.integers(0, 2 + int(2 * difficulty)))):
        cx, cy, angle = rng.uniform(-0.7, 0.7), rng.uniform(-0.6, 0.6), rng.uniform(0, 3.14)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
        spread = rng.uniform(0.06, 0.2)
        total += rng.uniform(30, 60 + 110 * difficulty) * np.exp(
            -((u / spread) ** 2) - (v / (spread * rng.uniform(1, 4))) ** 2
        )
    return np.clip(total, 0, 200).astype(np.uint8)


def photograph(stage: Stage, motion: Matrix, *, step: int, hand: Matrix | None = None) -> Rgb:
    """One frame, RGB uint8 of `stage.size`.

    Args:
        motion: stage pixels -> frame pixels, affine.
        step: number of the frame; the grain differs between steps.
        hand: movement of the product and of what holds it inside the stage, default none.
    """
    height, width = stage.size
    sharp = stage.camera.reduction if stage.camera.reduction < 0.97 else 1.0
    size = (max(int(width * sharp), 8), max(int(height * sharp), 8))
    lens = scaling(size[0] / width, size[1] / height)
    motion = np.asarray(lens @ motion, np.float32)
    ground = cv2.warpAffine(
        stage.ground, motion[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    frame: Rgb = np.asarray(ground, np.uint8)
    own = motion if hand is None else np.asarray(motion @ hand, np.float32)
    product = () if stage.product is None else (stage.product,)
    for layer in (*stage.behind, *product, *stage.before):
        frame = _draw(frame, layer, own)
    if stage.camera.defocus > 0.35:
        frame = blurred(frame, max(stage.camera.defocus * sharp, 0.3))
    if stage.camera.motion > 1.5:
        smear = _smear(stage.camera.motion * sharp, stage.camera.direction)
        frame = np.asarray(cv2.filter2D(frame, -1, smear), np.uint8)
    if sharp < 1:
        frame = np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return _expose(frame, stage.camera, step)


def _draw(frame: Rgb, layer: Layer, motion: Matrix) -> Rgb:
    high, wide = layer.rgba.shape[:2]
    matrix = np.asarray(motion @ layer.matrix, np.float32)
    corners = apply(matrix, corners_of(wide, high))
    left, top = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)) + 1, frame.shape[1::-1]).astype(int)
    if right - left < 2 or bottom - top < 2:
        return frame
    size = (int(right - left), int(bottom - top))
    moved = shift(-float(left), -float(top)) @ matrix
    if abs(float(moved[2, 0])) + abs(float(moved[2, 1])) < 1e-9:
        piece = cv2.warpAffine(layer.rgba, moved[:2] / moved[2, 2], size, flags=cv2.INTER_LINEAR)
    else:
        piece = cv2.warpPerspective(layer.rgba, moved, size, flags=cv2.INTER_LINEAR)
    return over(frame, np.asarray(piece, np.uint8), int(left), int(top))


def _expose(frame: Rgb, camera: Camera, step: int) -> Rgb:
    height, width = frame.shape[:2]
    lit = cv2.multiply(frame, camera.field, scale=1 / 128)
    shown = cv2.LUT(cv2.add(lit, camera.glare), camera.table)
    rows, columns = (step * 37) % 61, (step * 53) % 59
    plus = camera.plus[rows : rows + height, columns : columns + width]
    minus = camera.minus[rows : rows + height, columns : columns + width]
    return np.asarray(cv2.subtract(cv2.add(shown, plus), minus), np.uint8)


def _smear(length: float, direction: float) -> Plane:
    side = max(int(length) | 1, 3)
    kernel = np.zeros((side, side), np.float32)
    middle, dx, dy = side / 2 - 0.5, np.cos(direction) * length / 2, np.sin(direction) * length / 2
    ends = [(int(16 * (middle + s * dx)), int(16 * (middle + s * dy))) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
    kernel[side // 2, side // 2] = 1.0
    return np.asarray(kernel / kernel.sum(), np.float32)


def visible_share(stage: Stage) -> float:
    """Share of the product's area that lies on the frame and is not covered, [0, 1]."""
    if stage.product is None:
        return 0.0
    third = scaling(1 / 3, 1 / 3)
    pad = shift(stage.size[1] / 3, stage.size[0] / 3)
    size = (stage.size[1], stage.size[0])
    masks = [
        cv2.warpPerspective(layer.rgba[..., 3], pad @ third @ stage.centred @ layer.matrix, size)
        for layer in (stage.product, *stage.before)
    ]
    whole = float(masks[0].sum())
    inside = masks[0].astype(np.float32)
    for mask in masks[1:]:
        inside *= 1 - mask.astype(np.float32) / 255
    x0, y0 = stage.size[1] // 3, stage.size[0] // 3
    return float(inside[y0 : 2 * y0, x0 : 2 * x0].sum()) / whole if whole else 0.0
