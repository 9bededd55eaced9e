"""Pictures inside the Dagster UI: a contact sheet as a data URI, small enough for an event-log row.

The event log cannot be purged, so restricted pictures are shown as links in it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from pvm_jobs.source_policy import Policies
from pvm_resources.media.store import MediaStore
from pvm_resources.store.retention import Restricted

#: An event-log row holds the picture; in base 64 it is a third larger.
_MAX_JPEG_BYTES: Final = 73_000
#: Pictures on a sheet; pages (evidence) need room to be read, so there are fewer of them.
_PICTURES: Final = 12
_PAGES: Final = 2
_PAGE_WIDTH: Final = 1_000
_LINKS: Final = 12
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]()<>#+!|~-])")


def contact_preview(
    media: MediaStore, keys: Sequence[str], alt: str, masks: Sequence[str | None] = ()
) -> str:
    """Up to twelve of the stored pictures, evenly spread over `keys`, on one sheet as markdown.

    Args:
        keys: at least one picture.
        alt: plain text shown in its place.
        masks: key of each picture's mask; what the mask drops is shown dimmed.
    """
    from pvm_core.evidence.contact_sheet import contact_sheet, mask_overlay
    from pvm_core.images import decode_mask, decode_stored

    step = max(1, len(keys) // _PICTURES)
    pictures = [decode_stored(media.get(key)) for key in keys[::step][:_PICTURES]]
    for n, mask in enumerate(masks[::step][:_PICTURES]):
        pictures[n] = mask_overlay(pictures[n], decode_mask(media.get(mask)) if mask else None)
    return _inline(contact_sheet(pictures), alt)


def page_preview(media: MediaStore, keys: Sequence[str], alt: str) -> str:
    """The first two stored pages (evidence pictures, all of one size) under each other, as markdown."""
    from pvm_core.images import decode_stored, normalise

    pages = [normalise(decode_stored(media.get(key)), _PAGE_WIDTH) for key in keys[:_PAGES]]
    return _inline(np.vstack(pages), alt)


def links_preview(hidden: Sequence[Restricted], policies: Policies) -> str:
    """Markdown shown in place of restricted pictures: how many there are by source, the source's
    attribution, and links to the source's own pages.

    A link is an id and a page's address: neither a picture nor the address of one, which the terms limit too.

    Args:
        hidden: at least one.
    """
    parts: list[str] = []
    for source in dict.fromkeys(one.source for one in hidden):
        mine = [one for one in hidden if one.source == source]
        links = list(dict.fromkeys(_link(one) for one in mine))
        more = f"\n- and {len(links) - _LINKS:,} more" if len(links) > _LINKS else ""
        credit = f" {_plain(attribution)}" if (attribution := policies[source].attribution) else ""
        why = "its terms limit how long they are kept, and this log cannot be purged"
        listed = "\n".join(f"- {link}" for link in links[:_LINKS])
        parts.append(f"{len(mine):,} of {_plain(source)} not shown: {why}.{credit}\n\n{listed}{more}")
    return "\n\n".join(parts)


def _link(one: Restricted) -> str:
    if not one.url.startswith(("https://", "http://")):
        return _plain(one.name)
    return f"[{_plain(one.name)}]({quote(one.url, safe=':/?&=%#@+,;~$')})"


def _plain(text: str) -> str:
    # Names are untrusted: they must not become markup.
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def _inline(sheet: NDArray[np.uint8], alt: str) -> str:
    from pvm_core.evidence.contact_sheet import encode_within

    jpeg = encode_within(sheet, _MAX_JPEG_BYTES)
    return f"![{alt}](data:image/jpeg;base64,{base64.b64encode(jpeg).decode()})"
