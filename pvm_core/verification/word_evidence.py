"""What words say about a frame and a product picture, as data, and how much a word is worth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class WordEvidence:
    """What a frame's text says about a product picture. Words are folded: lower case, no accents or spaces.

    Attributes:
        carried: words that are legible in the product picture.
        seen: of them, those that the frame reads as well.
        against: word of the product, and the other word that stands in its place in the frame; "" without.
        at: corners of that place in product pixels, x0 y0 .. x3 y3; None without.
    """

    carried: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    at: tuple[float, ...] | None = None


def rarities(carried: Iterable[tuple[Hashable, Iterable[str]]]) -> dict[str, float]:
    """How rare each word is in a catalogue, (0, 1]: 1 on one product alone, 0 on every one.

    Inverse document frequency (Spärck Jones 1972), over its largest value.

    Args:
        carried: products with words that their pictures carry; a product may come more than once.
    """
    words: dict[Hashable, set[str]] = {}
    for product, said in carried:
        words.setdefault(product, set()).update(said)
    count = Counter(word for said in words.values() for word in said)
    whole = math.log(max(2, len(words)))
    return {word: max(0.0, 1.0 - math.log(n) / whole) for word, n in count.items()}


def rarity_of(word: str, known: Mapping[str, float]) -> float:
    """The rarity of a word; one that no catalogue picture carries is as rare as can be."""
    return known.get(word, 1.0)
