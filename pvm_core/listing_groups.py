"""One product under several ids: listings whose pictures are the same, whatever a seller laid over them."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import numpy as np

from pvm_core.arrays import F32

Id = TypeVar("Id", bound=Hashable)

#: Raise where `listing_groups` answers otherwise for the same catalogue.
VERSION: Final = "1"
#: Cosine from which two pictures are compared by their pixels, and pictures that one is compared with. One
#: under a banner and a badge has 0.49 with its original, a watermarked one 0.68, other covers 0.2 (Lite0).
LEAST_COSINE: Final = 0.40
NEIGHBOURS: Final = 3
_BLOCK: Final = 512
#: Words that tell variants of one listing apart; two titles that name different ones are two products.
_COLOURS: Final = frozenset(
    """red blue green yellow black white pink purple orange brown grey gray beige gold silver navy turquoise
    rot blau gelb schwarz weiss rosa lila braun grau rouge bleu vert jaune noir blanc rojo azul verde amarillo
    negro blanco đỏ xanh vàng đen trắng hồng tím nâu xám""".split()  # noqa: SIM905 - a list of words
)
_MEASURE: Final = re.compile(r"(\d+(?:[.,]\d+)?)\s*(ml|cl|l|mg|g|kg|oz|mm|cm|m|inch|in|gb|tb|w|v|pcs|pack)\b")
_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True, eq=False)
class ListingPicture(Generic[Id]):
    """A view of a product.

    Attributes:
        product_id: the listing; title: its title; position: place in its gallery.
        vector: (D,) float32, unit length.
    """

    img_id: Id
    product_id: Id
    title: str
    position: int
    vector: F32


def candidates(pictures: Sequence[ListingPicture[Id]]) -> Iterator[tuple[int, int]]:
    """Pairs of pictures of different listings, each once, that are alike enough to be compared: nearest first
    within each picture. In blocks: of 5,000 pictures a second's work."""
    if len(pictures) < 2:
        return
    vectors = np.stack([p.vector for p in pictures])
    numbers = {p: n for n, p in enumerate(dict.fromkeys(p.product_id for p in pictures))}
    owner = np.array([numbers[p.product_id] for p in pictures])
    given: set[tuple[int, int]] = set()
    for start in range(0, len(pictures), _BLOCK):
        cosines = vectors[start : start + _BLOCK] @ vectors.T
        cosines[owner[start : start + _BLOCK, None] == owner[None]] = -2.0
        for row, alike in enumerate(cosines):
            near = np.flatnonzero(alike >= LEAST_COSINE)
            for n in near[np.argsort(-alike[near], kind="stable")][:NEIGHBOURS]:
                pair = (min(start + row, int(n)), max(start + row, int(n)))
                if pair not in given:
                    given.add(pair)
                    yield pair


def listing_groups(
    pictures: Sequence[ListingPicture[Id]], same: Iterable[tuple[int, int]], again: Callable[[int, int], bool]
) -> dict[Id, Id]:
    """Each listing of a group with the group's first listing; listings alone are left out.

    Two listings are one product where more than half of the smaller gallery stands in the other, a first
    picture among it, and their titles name no different colour or measure. Every two listings of a group must
    be so: a banner that hides the flavour makes one copy of two siblings.

    Args:
        pictures: views only, in catalogue order.
        same: pairs of `candidates` that show the same picture.
        again: whether two pictures of a listing already grouped and a new one are the same.
    """
    galleries: dict[Id, list[int]] = {}
    for n, picture in enumerate(pictures):
        galleries.setdefault(picture.product_id, []).append(n)
    pairs: dict[tuple[Id, Id], set[tuple[int, int]]] = {}
    for one, two in same:
        first, second = pictures[one].product_id, pictures[two].product_id
        pairs.setdefault((first, second), set()).add((one, two))
    joined: dict[Id, list[Id]] = {}
    for (first, second), common in pairs.items():
        if not _one_product(pictures, galleries[first], galleries[second], common):
            continue
        groups = joined.get(first, [first]), joined.get(second, [second])
        if groups[0] is not groups[1] and _all_alike(pictures, galleries, groups, pairs, again):
            whole = [*groups[0], *groups[1]]
            joined.update((listing, whole) for listing in whole)
    order = {listing: n for n, listing in enumerate(galleries)}
    return {listing: min(group, key=lambda member: order[member]) for listing, group in joined.items()}


def _one_product(
    pictures: Sequence[ListingPicture[Id]],
    first: Sequence[int],
    second: Sequence[int],
    common: set[tuple[int, int]],
) -> bool:
    if titles_conflict(pictures[first[0]].title, pictures[second[0]].title):
        return False
    ones, twos = {one for one, _ in common}, {two for _, two in common}
    smaller = len(ones) if len(first) <= len(second) else len(twos)
    return 2 * smaller > min(len(first), len(second)) and (first[0] in ones or second[0] in twos)


def _all_alike(
    pictures: Sequence[ListingPicture[Id]],
    galleries: Mapping[Id, list[int]],
    groups: tuple[list[Id], list[Id]],
    pairs: Mapping[tuple[Id, Id], set[tuple[int, int]]],
    again: Callable[[int, int], bool],
) -> bool:
    for one in groups[0]:
        for two in groups[1]:
            known = pairs.get((one, two)) or {(a, b) for b, a in pairs.get((two, one), ())}
            if not known:
                known = {(a, b) for a in galleries[one][:1] for b in galleries[two][:1] if again(a, b)}
            if not _one_product(pictures, galleries[one], galleries[two], known):
                return False
    return True


def titles_conflict(one: str, two: str) -> bool:
    """Whether both titles name a colour, or both a measure of one unit, and not the same."""
    colours = [_COLOURS.intersection(_WORD.findall(title.casefold())) for title in (one, two)]
    if colours[0] and colours[1] and not colours[0] & colours[1]:
        return True
    measures = [_measures(title) for title in (one, two)]
    return any(not measures[0][unit] & measures[1][unit] for unit in measures[0].keys() & measures[1].keys())


def _measures(title: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for number, unit in _MEASURE.findall(title.casefold()):
        found.setdefault(unit, set()).add(number.replace(",", "."))
    return found
