"""A catalogue of made-up products: words, designs, galleries, look-alike siblings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import cv2
import numpy as np

from pvm_demo import labels
from pvm_demo.names import FAMILY_CODES, KINDS, Family, ProductKind, brand_name, film_title
from pvm_demo.paint import Rgb, gradient, hsv, over
from pvm_demo.solids import PROPORTIONS, Design, Sprite, view

#: Width of a front's artwork in pixels; a catalogue picture shows it at about this size.
_ART_WIDTH = 520
#: Most look-alikes in a row: as many flavours as every kind has.
_GROUP_MAX = 3
#: Shapes that carry a picture without words.
WORDLESS: Final = ("plush", "cushion", "mug")
#: What tells a sibling apart, besides the ribbon with its flavour.
Difference = Literal["colour", "flavour", "text"]


@dataclass(frozen=True, eq=False)
class SyntheticProduct:
    """A product of the generator.

    Attributes:
        product_id: id as a catalogue gives it, unique within seed and family.
        title, brand, url: as a catalogue gives them; some titles are Vietnamese.
        images: the gallery, RGB uint8 (H, W, 3); the front first.
        sibling_of: id of the product this one looks like, else None.
        design, style, kind: what scenes draw and siblings share.
    """

    product_id: str
    title: str
    brand: str
    url: str
    images: tuple[Rgb, ...]
    sibling_of: str | None
    design: Design
    style: labels.LabelStyle
    kind: ProductKind


def make_products(
    seed: int,
    n: int,
    *,
    family: Family = "test",
    sibling_share: float = 0.4,
    gallery: tuple[int, int] = (2, 3),
    prefix: str = "P",
) -> list[SyntheticProduct]:
    """`n` products, the same for the same arguments.

    Args:
        seed: any non-negative integer; families never meet, whatever their seeds.
        n: how many, >= 0.
        sibling_share: share, [0, 1], of products that are siblings of the product before them.
        gallery: fewest and most pictures of a product.
        prefix: start of the ids.
    """
    rng = np.random.default_rng([FAMILY_CODES[family], seed, 1])
    order = _kind_order(rng, n)
    products: list[SyntheticProduct] = []
    for number in range(n):
        own = np.random.default_rng([FAMILY_CODES[family], seed, 2, number])
        name = f"{prefix}{number + 1:03d}"
        group = _last_group(products)
        if 0 < len(group) < _GROUP_MAX and own.random() < sibling_share:
            products.append(_sibling(own, name, group, gallery))
        else:
            products.append(_original(own, name, KINDS[order[number]], family, gallery))
    return products


def _last_group(products: Sequence[SyntheticProduct]) -> list[SyntheticProduct]:
    """The product last made that is no sibling, and its siblings."""
    group: list[SyntheticProduct] = []
    for product in reversed(products):
        group.insert(0, product)
        if product.sibling_of is None:
            break
    return group


def _kind_order(rng: np.random.Generator, n: int) -> list[int]:
    rounds = -(-n // len(KINDS)) if n else 0
    return [int(k) for _ in range(rounds) for k in rng.permutation(len(KINDS))][:n]


def _original(
    rng: np.random.Generator, product_id: str, kind: ProductKind, family: Family, gallery: tuple[int, int]
) -> SyntheticProduct:
    film = kind.hero == "poster"
    vietnamese = bool(rng.random() < 0.5)
    name = film_title(rng) if film else kind.vietnamese if vietnamese else kind.english
    style = labels.random_style(
        rng, brand_name(rng, family), name, str(rng.choice(kind.flavours)), kind.weight, kind.hero
    )
    return _build(rng, product_id, kind, style, None, int(rng.integers(2**31)), gallery)


def _sibling(
    rng: np.random.Generator, product_id: str, group: Sequence[SyntheticProduct], gallery: tuple[int, int]
) -> SyntheticProduct:
    of = group[0]
    used = {member.style.flavour for member in group}
    style = replace(of.style, flavour=str(rng.choice([f for f in of.kind.flavours if f not in used])))
    # Hues of a group stand apart by about a third of the circle, as a brand would choose them.
    turn = float(len(group) / 3 + rng.uniform(-0.06, 0.06))
    wordless = of.kind.shape in WORDLESS
    style = replace(style, ribbon_hue=of.style.ribbon_hue + turn)
    difference: Difference = rng.choice(np.array(["colour", "flavour", "text"]), p=[0.4, 0.5, 0.1])
    if wordless or of.kind.shape == "cover" or difference == "colour":
        style = replace(style, base_hue=of.style.base_hue + turn, accent_hue=of.style.accent_hue + turn)
    if wordless or of.kind.shape == "cover" or difference == "flavour":
        style = replace(style, hero_hue=of.style.hero_hue + turn, accent_hue=of.style.accent_hue + turn)
    return _build(rng, product_id, of.kind, style, of.product_id, of.design.grain, gallery)


def _build(
    rng: np.random.Generator,
    product_id: str,
    kind: ProductKind,
    style: labels.LabelStyle,
    sibling_of: str | None,
    grain: int,
    gallery: tuple[int, int],
) -> SyntheticProduct:
    design = make_design(kind, style, grain)
    count = int(rng.integers(gallery[0], gallery[1] + 1))
    return SyntheticProduct(
        product_id=product_id,
        title=_title(style, kind),
        brand=style.brand,
        url=f"https://shop.example/{product_id.lower()}",
        images=tuple(catalogue_picture(design, rng, number) for number in range(count)),
        sibling_of=sibling_of,
        design=design,
        style=style,
        kind=kind,
    )


def _title(style: labels.LabelStyle, kind: ProductKind) -> str:
    if kind.hero == "poster":
        return f"{style.name}: {style.flavour} ({style.brand}, {kind.weight})"
    return f"{style.name} {style.brand} – {style.flavour}, {kind.weight}"


def make_design(kind: ProductKind, style: labels.LabelStyle, grain: int) -> Design:
    """The body and artwork of a product of `kind` in `style`; `grain` seeds creases and fur."""
    tall, deep = PROPORTIONS[kind.shape]
    draw = {"cover": labels.cover, **dict.fromkeys(WORDLESS, labels.picture_only)}.get(
        kind.shape, labels.front
    )
    front = draw(style, int(_ART_WIDTH * {"can": 1.22, "bottle": 1.12}.get(kind.shape, tall)), _ART_WIDTH)
    thin = deep < 0.25
    size = (int(360 * tall / 0.25 / 2), 180) if thin else (540, max(int(540 * deep / tall), 90))
    side = labels.side(style, *size, 0)
    body = hsv(style.hero_hue, 0.45, 0.72) if kind.shape == "plush" else style.base
    return Design(kind.shape, front, side, labels.top(style, max(int(360 * deep), 40), 360), body, grain)


def catalogue_picture(design: Design, rng: np.random.Generator, number: int) -> Rgb:
    """Picture `number` of a gallery: 0 front, 1 an angle, 2 a close view; a studio's white ground."""
    if number == 0:
        yaw, pitches, size = float(rng.normal(0, 0.05)), (0.0, 0.08), 640
    else:
        turns, pitches, size = (
            ((0.4, 0.65), (0.15, 0.32), 640) if number == 1 else ((0.1, 0.4), (0.05, 0.25), 1000)
        )
        yaw = float(rng.choice((-1, 1)) * rng.uniform(*turns))
    picture = _studio(view(design, yaw, float(rng.uniform(*pitches)), size), rng)
    if number < 2:
        return picture
    height, width = picture.shape[:2]
    y, x = int(height * rng.uniform(0.1, 0.25)), int(width * rng.uniform(0.1, 0.25))
    return np.ascontiguousarray(picture[y : y + int(height * 0.62), x : x + int(width * 0.62)])


def _studio(sprite: Sprite, rng: np.random.Generator) -> Rgb:
    height, width = sprite.rgba.shape[:2]
    pad = int(max(height, width) * rng.uniform(0.06, 0.14))
    tall, wide = height + 2 * pad, width + 2 * pad
    side = max(tall, wide) if rng.random() < 0.6 else 0
    tall, wide = max(tall, side), max(wide, side)
    white = int(rng.integers(248, 256))
    ground = gradient(tall, wide, (white,) * 3, (max(white - int(rng.integers(0, 10)), 236),) * 3, np.pi / 2)
    x, y = (wide - width) // 2, (tall - height) // 2
    shadow = np.zeros((tall // 4, wide // 4), np.float32)
    foot = (int(wide / 2 + width * 0.03) // 4, (y + height - int(height * 0.012)) // 4)
    cv2.ellipse(shadow, foot, (int(width / 8), max(int(height * 0.008), 2)), 0, 0, 360, 1.0, -1)
    soft = 255 * rng.uniform(0.25, 0.5) * cv2.GaussianBlur(shadow, (0, 0), max(height / 180, 1))
    dark = cv2.resize(soft.astype(np.uint8), (wide, tall))
    tint = np.zeros((tall, wide, 4), np.uint8)
    tint[..., 3] = dark
    tint[..., :3] = (dark // 4)[..., None]
    return over(over(ground, tint), sprite.rgba, x, y)


def siblings(products: Sequence[SyntheticProduct]) -> dict[str, str]:
    """Group of look-alikes of each product: product_id -> id of the first of the group."""
    return {product.product_id: product.sibling_of or product.product_id for product in products}
