"""A whole catalogue looked at: which pictures are views of products, and which listings are one product."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from pvm_core import listing_groups, picture_content, same_picture, shared_material
from pvm_core.arrays import F32, Bools
from pvm_core.ids import content_key
from pvm_core.listing_groups import ListingPicture, candidates
from pvm_core.picture_content import GRID, NOT_MATCHED, PictureContent
from pvm_core.shared_material import CataloguePicture, Material, material_of

Id = TypeVar("Id", bound=Hashable)


@dataclass(frozen=True, eq=False)
class Looked(Generic[Id]):
    """One picture of a catalogue.

    Attributes:
        position: place in its product's gallery; title: the product's.
        vector: (D,) float32, unit length, of the picture as a whole.
    """

    img_id: Id
    product_id: Id
    title: str
    position: int
    content: PictureContent
    vector: F32


@dataclass(frozen=True, eq=False)
class CatalogueReview(Generic[Id]):
    """What was found.

    Attributes:
        material: of each picture, by id.
        groups: listing -> the first listing of its group; listings alone are left out.
    """

    material: Mapping[Id, Material]
    groups: Mapping[Id, Id]

    @property
    def counts(self) -> dict[str, int]:
        """Pictures that are not matched by role, pictures with marked cells, and listing groups."""
        roles = [m.role for m in self.material.values()]
        return {
            **{f"pictures_{role}": roles.count(role) for role in NOT_MATCHED},
            "pictures_marked": sum(bool(m.marked.any()) for m in self.material.values()),
            "listing_groups": len(set(self.groups.values())),
        }

    @property
    def marked(self) -> frozenset[Id]:
        """Pictures of which something is not the product."""
        return frozenset(i for i, material in self.material.items() if material.marked.any())

    def is_view(self, img_id: Id) -> bool:
        """Whether frames are compared with the picture; one that was not looked at is a view."""
        found = self.material.get(img_id)
        return found is None or found.matched


def review_key() -> str:
    """Names the method with its versions (16 hex)."""
    parts = (listing_groups, picture_content, same_picture, shared_material)
    return content_key("catalogue", *(part.VERSION for part in parts))


def review_catalogue(
    pictures: Sequence[Looked[Id]],
    compare: Callable[[list[tuple[Looked[Id], Looked[Id]]]], Iterator[bool]],
) -> CatalogueReview[Id]:
    """Roles, marked cells and listing groups of a catalogue.

    Args:
        pictures: product by product, each product's in the order of its gallery.
        compare: `same_picture.is_same_picture` of pairs, in their order.
    """
    views = [p for p in pictures if p.content.role == "view"]
    listed = [ListingPicture(p.img_id, p.product_id, p.title, p.position, p.vector) for p in views]
    pairs = list(candidates(listed))
    answers = compare([(views[one], views[two]) for one, two in pairs])
    same = [pair for pair, alike in zip(pairs, answers, strict=True) if alike]
    groups = listing_groups.listing_groups(listed, same, lambda a, b: next(compare([(views[a], views[b])])))
    catalogue = [CataloguePicture(p.img_id, p.product_id, p.content) for p in pictures]
    return CatalogueReview(material_of(catalogue, groups), groups)


def packed(marked: Bools) -> bytes | None:
    """Marked cells as bytes, row by row, eight a byte; None where none is marked."""
    return np.packbits(marked).tobytes() if marked.any() else None


def unpacked(data: bytes | None) -> Bools:
    """(GRID, GRID) bool of `packed`."""
    if data is None:
        return np.zeros((GRID, GRID), bool)
    return np.unpackbits(np.frombuffer(data, np.uint8)).reshape(GRID, GRID).astype(bool)
