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
    """A contact sheet of at most twelve stored pictures, inline."""
    from pvm_core.evidence import contact_sheet

    from pvm_core.pictures import decode_stored

    pictures = [decode_stored(media.get(key)) for key in keys[:12]]
    return inline_picture(contact_sheet(pictures), alt)
