"""Pictures inside the Dagster UI: a contact sheet as a data URI, small enough for an event-log row."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final

import dagster as dg
import numpy as np
from numpy.typing import NDArray

from pvm_resources.media import MediaStore

#: An event-log row holds the picture; 100 KB of data URI is 75 KB of JPEG.
MAX_URI_BYTES: Final = 100_000
_PREFIX: Final = "data:image/jpeg;base64,"


def inline_picture(rgb: NDArray[np.uint8], alt: str) -> dg.MarkdownMetadataValue:
    """`rgb` as markdown with a JPEG data URI of at most 100 KB, made smaller until it fits.

    Args:
        rgb: uint8 (H, W, 3).
        alt: plain text shown in its place.
    """
    from pvm_core.pictures import encode_jpeg, normalise

    side, quality = max(rgb.shape[:2]), 80
    while True:
        jpeg = encode_jpeg(normalise(rgb, side), quality)
        uri = _PREFIX + base64.b64encode(jpeg).decode()
        if len(uri) <= MAX_URI_BYTES or side <= 64:
            return dg.MetadataValue.md(f"![{alt}]({uri})")
        side, quality = int(side * 0.85), max(50, quality - 5)


def contact_preview(media: MediaStore, keys: Sequence[str], alt: str) -> dg.MarkdownMetadataValue:
    """At most twelve stored pictures side by side, inline."""
    from pvm_core.pictures import decode_stored

    return inline_picture(montage([decode_stored(media.get(key)) for key in keys[:12]]), alt)


def montage(pictures: Sequence[NDArray[np.uint8]], columns: int = 6, side: int = 220) -> NDArray[np.uint8]:
    """Pictures in a grid of white cells, uint8 (H, W, 3); a single column is as wide as its picture.

    Args:
        pictures: uint8 (H, W, 3) or (H, W), at least one.
    """
    import cv2

    columns = min(columns, len(pictures))
    side = side if columns > 2 else 2 * side
    sheet = np.full((-(-len(pictures) // columns) * side, columns * side, 3), 255, np.uint8)
    for n, picture in enumerate(pictures):
        rgb = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
        scale = (side - 8) / max(rgb.shape[:2])
        size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        top = n // columns * side + (side - small.shape[0]) // 2
        left = n % columns * side + (side - small.shape[1]) // 2
        sheet[top : top + small.shape[0], left : left + small.shape[1]] = small
    return sheet
