"""Near-duplicates inside one product's gallery: the same picture in another size, format or quality.

Only within one gallery: across products two variants differ by as little.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pvm_core.images import hamming

Id = TypeVar("Id", bound=Hashable)

#: Bits of 64 in which near-duplicates differ at most. Measured on the 76 reference pictures of dvd_covers,
#: grocery and objects: saved as JPEG 30 or 75 or WebP 50, scaled down to an eighth or to 150 pixels, or 5 %
#: brighter, all 684 copies differ in <= 4 bits; of the 2,850 pairs of different products none in < 10. Other
#: photos of the same product (4,497 pairs) are to stay: one pair differs in <= 4. A border or a cut of 2 %
#: moves a picture by up to 12 bits; such copies stay too.
MAX_BITS: Final = 4


@dataclass(frozen=True)
class GalleryItem(Generic[Id]):
    """A picture of a gallery.

    Attributes:
        position: in the source's order.
        phash: `images.phash64`, signed or unsigned.
        pixels: width x height as given, before any scaling.
    """

    img_id: Id
    position: int
    phash: int
    pixels: int


def near_duplicates(gallery: Sequence[GalleryItem[Id]], max_bits: int = MAX_BITS) -> dict[Id, Id]:
    """Each near-duplicate of a gallery with the picture that is kept in its place.

    The largest of several copies is kept, among equals the first in the gallery. Every copy is within
    `max_bits` of the very picture kept for it, so a chain of small steps does not swallow a gallery; no two
    pictures kept are within `max_bits` of each other. The order of `gallery` does not matter.
    """
    kept: list[GalleryItem[Id]] = []
    copies: dict[Id, Id] = {}
    for item in sorted(gallery, key=lambda i: (-i.pixels, i.position, str(i.img_id))):
        nearest = min(kept, key=lambda k: hamming(k.phash, item.phash), default=None)
        if nearest is not None and hamming(nearest.phash, item.phash) <= max_bits:
            copies[item.img_id] = nearest.img_id
        else:
            kept.append(item)
    return copies
