"""Pictures inside the Dagster UI: a contact sheet as a data URI, small enough for an event-log row."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final

import dagster as dg
import numpy as np
from numpy.typing import NDArray

from pvm_resources.media import MediaStore

#: An event-log row holds the picture; in base 64 it is a third larger.
_MAX_JPEG_BYTES: Final = 73_000
#: Pictures on a sheet; pages (evidence) need room to be read, so there are fewer of them.
_PICTURES: Final = 12
_PAGES: Final = 2
_PAGE_WIDTH: Final = 1_000


def contact_preview(
    media: MediaStore, keys: Sequence[str], alt: str, masks: Sequence[str | None] = ()
) -> dg.MarkdownMetadataValue:
    """Up to twelve of the stored pictures, evenly spread over `keys`, on one sheet as markdown.

    Args:
        keys: at least one picture.
        alt: plain text shown in its place.
        masks: key of each picture's mask; what the mask drops is shown dimmed.
    """
    from pvm_core.contact import contact_sheet, mask_overlay
    from pvm_core.pictures import decode_mask, decode_stored

    step = max(1, len(keys) // _PICTURES)
    pictures = [decode_stored(media.get(key)) for key in keys[::step][:_PICTURES]]
    for n, mask in enumerate(masks[::step][:_PICTURES]):
        pictures[n] = mask_overlay(pictures[n], decode_mask(media.get(mask)) if mask else None)
    return _inline(contact_sheet(pictures), alt)


def page_preview(media: MediaStore, keys: Sequence[str], alt: str) -> dg.MarkdownMetadataValue:
    """The first two stored pages (evidence pictures, all of one size) under each other, to be read."""
    from pvm_core.pictures import decode_stored, normalise

    pages = [normalise(decode_stored(media.get(key)), _PAGE_WIDTH) for key in keys[:_PAGES]]
    return _inline(np.vstack(pages), alt)


def _inline(sheet: NDArray[np.uint8], alt: str) -> dg.MarkdownMetadataValue:
    from pvm_core.contact import encode_within

    jpeg = encode_within(sheet, _MAX_JPEG_BYTES)
    return dg.MetadataValue.md(f"![{alt}](data:image/jpeg;base64,{base64.b64encode(jpeg).decode()})")
