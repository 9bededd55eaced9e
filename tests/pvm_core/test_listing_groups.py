"""Two listings of one product are one group; two siblings are two products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pvm_core.catalogue_review import CatalogueReview, Looked, review_catalogue
from pvm_core.keypoints import KeypointParams, detect
from pvm_core.listing_groups import titles_conflict
from pvm_core.picture_content import read_content
from pvm_core.same_picture import is_same_picture
from pvm_core.verification import View
from pvm_demo.labels import front
from pvm_demo.products import make_products
from tests.pvm_core.drawn import U8, bannered, chart, placeholder, resaved, studio, watermarked
from tests.pvm_core.prints import label

#: Pairs of siblings drawn here.
SIBLINGS = 12


def view(rgb: U8) -> View:
    return View(detect(rgb, None, KeypointParams()), rgb)


def siblings(count: int, seed: int) -> Iterator[tuple[str, U8, U8]]:
    """Fronts that differ in one word, or in the colour of one ribbon."""
    rng = np.random.default_rng(seed)
    made = 0
    for generation in range(count):
        for product in make_products(seed * 100 + generation, 12, family="fit", sibling_share=0.0):
            style, flavours = product.style, product.kind.flavours
            word = str(rng.choice([f for f in flavours if f != style.flavour]))
            other = (
                replace(style, flavour=word)
                if made % 2
                else replace(style, ribbon_hue=style.ribbon_hue + 1 / 3)
            )
            one, two = front(style, 640, 480), front(other, 640, 480)
            if np.abs(one.astype(int) - two).max() < 40:
                continue
            yield "word" if made % 2 else "colour", one, two
            made += 1
            if made == count:
                return


def test_copies_are_the_same_picture_and_siblings_are_not() -> None:
    for what, one, two in siblings(SIBLINGS, 7):
        original = view(studio(one))
        assert is_same_picture(original, view(studio(one, 420, 330, 60)))
        assert not is_same_picture(original, view(studio(two, 500, 400, 70))), what


def test_what_a_seller_lays_over_a_picture_is_no_difference() -> None:
    plain = studio(label(4))
    for copy in (watermarked(plain), bannered(plain, 0.2), resaved(plain[20:-20, 60:-60], 480, 60)):
        assert is_same_picture(view(plain), view(copy))
        assert is_same_picture(view(copy), view(plain))


def test_a_sibling_under_a_watermark_or_a_banner_stays_a_sibling() -> None:
    for _, one, two in siblings(3, 8):
        assert not is_same_picture(view(studio(one)), view(watermarked(studio(two))))
        assert not is_same_picture(view(studio(one)), view(bannered(studio(two), 0.15)))


def reviewed(*pictures: tuple[str, str, U8], alike: float = 0.9) -> CatalogueReview[str]:
    """A catalogue of (product, title, picture) whose pictures are all alike by their vectors."""
    views = {f"{product}/{n}": view(rgb) for n, (product, _, rgb) in enumerate(pictures)}
    looked = [
        Looked(f"{product}/{n}", product, title, n, read_content(rgb), _vector(n, alike))
        for n, (product, title, rgb) in enumerate(pictures)
    ]
    return review_catalogue(
        looked, lambda pairs: (is_same_picture(views[a.img_id], views[b.img_id]) for a, b in pairs)
    )


def _vector(n: int, alike: float) -> np.ndarray:
    found = np.zeros(64, np.float32)
    found[0], found[n + 1] = np.sqrt(alike), np.sqrt(1 - alike)
    return found


def test_listings_of_one_product_are_a_group_named_by_the_first() -> None:
    plain = studio(label(4))
    found = reviewed(
        ("a", "Pack", plain), ("b", "Pack, 2nd shop", bannered(plain)), ("c", "Other", studio(label(5)))
    )
    assert dict(found.groups) == {"a": "a", "b": "a"}


def test_a_banner_over_the_word_that_differs_does_not_make_siblings_one() -> None:
    one, two = studio(label(4)), studio(label(4))
    two[430:500, 120:480] = (30, 90, 30)
    hidden = bannered(one, 0.35)
    found = reviewed(("a", "", one), ("b", "", two), ("hidden", "", hidden))
    assert found.groups.get("a") != "a" or found.groups.get("b") != "a"


def test_one_picture_under_titles_of_two_colours_is_two_products() -> None:
    plain = studio(label(4))
    assert not reviewed(("a", "Mug, red", plain), ("b", "Mug, blue", plain)).groups
    assert titles_conflict("Milk 500 ml", "Milk 1 l 250 ml")
    assert not titles_conflict("Milk 500 ml", "Milk")


def test_a_chart_of_two_products_and_a_placeholder_are_not_matched() -> None:
    one, two = studio(label(4)), studio(label(9))
    found = reviewed(
        ("a", "", one), ("a", "", chart()), ("b", "", two), ("b", "", chart()), ("c", "", placeholder()),
        ("d", "", placeholder()),
    )  # fmt: skip
    assert [found.material[i].role for i in ("a/1", "b/3", "c/4", "d/5")] == ["chart"] * 2 + [
        "placeholder"
    ] * 2
    assert found.is_view("a/0")
    assert not found.groups


def test_a_picture_in_galleries_of_different_products_proves_nothing() -> None:
    room = studio(label(20), 600, 600)
    found = reviewed(
        ("a", "", studio(label(4))), ("a", "", room), ("b", "", studio(label(9))), ("b", "", room)
    )
    assert [m.role for m in found.material.values()] == ["view", "shared", "view", "shared"]
    assert not found.groups


def test_a_frame_of_two_products_is_marked_and_what_siblings_share_is_not() -> None:
    edge = label(30, width=600, height=600)
    inside = [edge.copy(), edge.copy()]
    for picture, seed in zip(inside, (4, 9), strict=True):
        picture[120:480, 120:480] = label(seed, width=360, height=360)
    found = reviewed(("a", "", inside[0]), ("b", "", inside[1]))
    for material in found.material.values():
        assert material.marked[:4].mean() > 0.8
        assert not material.marked[10:-10, 10:-10].any()
    one, two = studio(label(4)), studio(label(4))
    two[300:360, 200:400] = (30, 90, 30)
    assert not any(m.marked.any() for m in reviewed(("a", "", one), ("b", "", two)).material.values())
