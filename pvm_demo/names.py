"""Words on packs: brands, kinds, flavours and titles, partly Vietnamese; disjoint pools per family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

#: Independent worlds: what a calibration is fitted on never shares a brand, a design or a texture with
#: the demo or the tests.
Family = Literal["demo", "fit", "test"]
FAMILY_CODES: Final[dict[Family, int]] = {"demo": 101, "fit": 211, "test": 307}

Shape = Literal["box", "carton", "cover", "pouch", "can", "bottle", "cushion", "mug", "plush"]

_SYLLABLES: Final[dict[Family, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "demo": (
        ("Vela", "Mori", "Sen", "Kumo", "Lotu", "Nara", "Zen", "Mây", "Hana", "Elva", "An", "Tala"),
        ("rest", "nest", "via", "lux", "form", "ly", "mi", "care", "bay", "well"),
    ),
    "fit": (
        ("Bri", "Oka", "Pan", "Dru", "Fjor", "Quil", "Tors", "Wex", "Gala", "Ruv", "Ibo", "Cas"),
        ("tona", "dell", "ster", "min", "quo", "fresh", "gold", "berg", "za", "field"),
    ),
    "test": (
        ("Alp", "Bor", "Cym", "Dax", "Ester", "Fen", "Gri", "Hol"),
        ("ano", "ex", "isk", "olo", "una", "ward"),
    ),
}


@dataclass(frozen=True)
class ProductKind:
    """A kind of product: its shape, what it is called, and words that tell siblings apart."""

    shape: Shape
    english: str
    vietnamese: str
    flavours: tuple[str, ...]
    weight: str
    hero: str


KINDS: Final = (
    ProductKind(
        "box",
        "Ergonomic Pillow",
        "Gối công thái học",
        ("Cooling Gel", "Lavender", "Bamboo", "Charcoal", "Cloud Soft", "Classic"),
        "60 x 40 cm",
        "pillow",
    ),
    ProductKind(
        "box",
        "Memory Foam Neck Pillow",
        "Gối cổ cao su non",
        ("Navy", "Coral", "Mint", "Graphite", "Sand"),
        "30 x 28 cm",
        "pillow",
    ),
    ProductKind(
        "pouch",
        "Herbal Tea",
        "Trà thảo mộc",
        ("Chamomile", "Ginger", "Hibiscus", "Jasmine", "Mint"),
        "20 x 2 g",
        "leaves",
    ),
    ProductKind(
        "carton",
        "Fruit Juice",
        "Nước ép trái cây",
        ("Orange", "Apple", "Grape", "Mango", "Guava"),
        "1 L",
        "fruit",
    ),
    ProductKind(
        "can",
        "Sparkling Water",
        "Nước khoáng có ga",
        ("Lime", "Peach", "Berry", "Yuzu", "Original"),
        "330 ml",
        "fruit",
    ),
    ProductKind(
        "cover",
        "The Feature Film",
        "Phim điện ảnh",
        ("Part One", "Part Two", "The Return", "Director's Cut"),
        "DVD",
        "poster",
    ),
    ProductKind(
        "bottle",
        "Body Lotion",
        "Sữa dưỡng thể",
        ("Rose", "Aloe", "Almond", "Ocean", "Vanilla"),
        "250 ml",
        "leaves",
    ),
    ProductKind("box", "Night Light", "Đèn ngủ", ("Warm", "Aurora", "Moon", "Star"), "USB-C", "device"),
    ProductKind(
        "pouch",
        "Roasted Coffee",
        "Cà phê rang xay",
        ("Robusta", "Arabica", "Moka", "Decaf"),
        "500 g",
        "landscape",
    ),
    ProductKind(
        "cushion",
        "Printed Cushion",
        "Gối tựa lưng",
        ("Indigo", "Terracotta", "Olive", "Plum"),
        "45 x 45 cm",
        "abstract",
    ),
    ProductKind("mug", "Ceramic Mug", "Cốc sứ", ("Sunny", "Forest", "Berry", "Night"), "350 ml", "animal"),
    ProductKind("plush", "Plush Friend", "Thú nhồi bông", ("Brown", "Grey", "Pink"), "30 cm", "animal"),
    ProductKind("cover", "Cook Book", "Sách dạy nấu ăn", ("Vol. 1", "Vol. 2", "Vol. 3"), "Book", "fruit"),
    ProductKind(
        "box", "Biscuits", "Bánh quy", ("Chocolate", "Vanilla", "Matcha", "Strawberry"), "300 g", "fruit"
    ),
)

SLOGANS: Final = (
    "Sleep better every night",
    "Ngủ ngon mỗi đêm",
    "Naturally good",
    "100% thiên nhiên",
    "New formula",
    "Soft touch - firm support",
    "Made with care",
    "Chất lượng cao",
    "Family size",
    "No added sugar",
    "Êm ái cả ngày",
    "Breathable cover",
    "Tươi mới mỗi ngày",
    "Award winner",
)

FILM_WORDS: Final = (
    "Midnight",
    "Harbor",
    "Silent",
    "Crimson",
    "River",
    "Last",
    "Garden",
    "Winter",
    "Paper",
    "Glass",
    "Thunder",
    "Island",
    "Lantern",
    "Echo",
    "Empire",
    "Velvet",
    "Hollow",
    "Northern",
    "Saigon",
    "Star",
)


def brand_name(rng: np.random.Generator, family: Family) -> str:
    """A made-up brand of the family."""
    first, second = _SYLLABLES[family]
    return str(rng.choice(first)) + str(rng.choice(second))


def film_title(rng: np.random.Generator) -> str:
    """A made-up title of two words."""
    first, second = rng.choice(FILM_WORDS, 2, replace=False)
    return f"{first} {second}" if rng.random() < 0.6 else f"The {first} {second}"
