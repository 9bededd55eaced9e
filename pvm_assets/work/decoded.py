"""A stored picture, decoded: what every feature is computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pvm_core.images import decode_mask, decode_stored
from pvm_resources.media.store import MediaStore
from pvm_resources.store.records import Item


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture of a job with its pixels.

    Attributes:
        rgb: uint8 (H, W, 3).
        mask: uint8 (H, W), 255 = product, 0 = not; None without a trustworthy mask.
    """

    item: Item
    rgb: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None


def decode(media: MediaStore, item: Item) -> Decoded:
    """The picture with its mask, from the stored files.

    Raises:
        MediaError: a file does not decode.
        StoreError: a file cannot be read.
    """
    mask = decode_mask(media.get(item.mask_path)) if item.mask_path else None
    return Decoded(item, decode_stored(media.get(item.local_path)), mask)
