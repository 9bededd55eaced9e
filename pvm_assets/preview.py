"""Pictures inside the Dagster UI: a contact sheet as a data URI, small enough for an event-log row.

The event log cannot be purged, so restricted pictures are shown as links in it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
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
#: Rows of a table of results, and the pixels of their thumbnails: 2 to 4 kB each.
RESULTS: Final = 12
_ROW_SIZE: Final = (180, 90)
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


@dataclass(frozen=True)
class ResultRow:
    """A match in a table: texts of others, media keys of its pictures ("" for none), its review page, and
    whether its frame shows the product left for right."""

    product: str
    price: str
    video: str
    video_url: str | None
    at: str
    score: str
    status: str
    pictures: tuple[str, ...]
    review_url: str
    mirrored: bool = False


def results_table(media: MediaStore, rows: Sequence[ResultRow]) -> str:
    """A markdown table of matches: a thumbnail each, the second as a link into the video, and a link to the
    review page. At most `RESULTS` rows are shown."""
    from pvm_core.evidence.thumbnail import thumbnail

    lines = ["| | score | status | product | price | video | at | |", "|---|---|---|---|---|---|---|---|"]
    for row in rows[:RESULTS]:
        picture = ""
        if row.pictures:
            small = thumbnail([media.get(key) for key in row.pictures], *_ROW_SIZE, quality=60)
            picture = f"![]({_data_uri(small)})"
        at = f"[{row.at}]({_address(row.video_url)})" if row.video_url else row.at
        status = f"{row.status}, mirrored" if row.mirrored else row.status
        cells = (
            picture, row.score, status, _plain(row.product), _plain(row.price), _plain(row.video), at,
            f"[review]({_address(row.review_url)})",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    more = "\n\nThe best of them; the review page lists all." if len(rows) > RESULTS else ""
    return "\n".join(lines) + more


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
    return f"[{_plain(one.name)}]({_address(one.url)})"


def _address(url: str) -> str:
    return quote(url, safe=":/?&=%#@+,;~$")


def _plain(text: str) -> str:
    # Names are untrusted: they must not become markup.
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def _inline(sheet: NDArray[np.uint8], alt: str) -> str:
    from pvm_core.evidence.contact_sheet import encode_within

    jpeg = encode_within(sheet, _MAX_JPEG_BYTES)
    return f"![{alt}]({_data_uri(jpeg)})"


def _data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
