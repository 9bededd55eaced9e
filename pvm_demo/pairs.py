"""Labelled pairs (catalogue picture, frame) for fitting a calibration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pvm_demo.names import FAMILY_CODES, Family
from pvm_demo.paint import Rgb, pick
from pvm_demo.products import SyntheticProduct, make_products, siblings
from pvm_demo.scenes import render_scene

#: Products of one generation; pairs are drawn among them before the next generation is made.
_GENERATION = 18
#: Frames drawn of one generation.
_FRAMES = 30


@dataclass(frozen=True, eq=False)
class SyntheticPair:
    """A catalogue picture and a frame.

    Attributes:
        product_rgb, frame_rgb: the pictures.
        label: True where the frame shows this very product.
        sibling: True where it shows a look-alike of it (and `label` is False).
        product_id: identity of the product, unique within family and seed: what is left out together.
        group: identity of its group of look-alikes.
        difficulty: of the frame, [0, 1].
        visible: share of the shown product that is visible, [0, 1]; 0 where the frame shows none.
    """

    product_rgb: Rgb
    frame_rgb: Rgb
    label: bool
    sibling: bool
    product_id: str
    group: str
    difficulty: float
    visible: float


def make_pairs(
    seed: int,
    n: int,
    *,
    family: Family = "fit",
    size: tuple[int, int] = (960, 540),
    sibling_share: float = 0.6,
    generation_size: int = _GENERATION,
) -> Iterator[SyntheticPair]:
    """`n` pairs: of each frame a true pair, then a look-alike's where there is one, then another's.

    Every third pair about is true; at least half of the false ones are look-alikes.

    Args:
        seed: any non-negative integer.
        n: how many, >= 0.
        size: (height, width) of the frames.
        sibling_share: share of products that are siblings of another.
        generation_size: products that pairs are drawn among, before the next ones are made.
    """
    made, generation = 0, 0
    while made < n:
        products = make_products(
            seed * 1_000 + generation,
            generation_size,
            family=family,
            sibling_share=sibling_share,
            prefix=f"{family}{seed}-{generation}-",
        )
        rng = np.random.default_rng([FAMILY_CODES[family], seed, 5, generation])
        for _ in range(_FRAMES):
            for pair in _pairs_of_frame(products, rng, size):
                if made == n:
                    return
                made += 1
                yield pair
        generation += 1


def _pairs_of_frame(
    products: list[SyntheticProduct], rng: np.random.Generator, size: tuple[int, int]
) -> Iterator[SyntheticPair]:
    groups = siblings(products)
    shown = pick(rng, products)
    difficulty = float(rng.beta(1.6, 1.6))
    scene = render_scene(shown, rng, difficulty, size=size)
    alike = [p for p in products if p is not shown and groups[p.product_id] == groups[shown.product_id]]
    others = [p for p in products if groups[p.product_id] != groups[shown.product_id]]
    picked = [shown]
    if alike:
        picked.append(pick(rng, alike))
    if not alike or rng.random() < 0.6:
        picked.append(pick(rng, others))
    for product in picked:
        yield SyntheticPair(
            product_rgb=pick(rng, product.images),
            frame_rgb=scene.rgb,
            label=product is shown,
            sibling=product in alike,
            product_id=product.product_id,
            group=groups[product.product_id],
            difficulty=difficulty,
            visible=scene.visible,
        )
