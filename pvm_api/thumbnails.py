"""Thumbnails: the middle of an evidence picture, or product and frame side by side, small."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

from pvm_resources.media.store import MediaStore
from pvm_resources.store.review_queries import Pictures

#: Pixels; a card is at most 400 wide, on screens of one and a half pixels a point.
WIDTH: Final = 600
HEIGHT: Final = 268
#: Thumbnails in memory; one is 20 to 50 kB.
_KEPT: Final = 1_200


class Thumbnails:
    """Makes thumbnails and keeps the most recently used in memory.

    Args:
        media: where the pictures are.
    """

    def __init__(self, media: MediaStore) -> None:
        self._media = media
        self._kept = lru_cache(_KEPT)(self._draw)

    def tag(self, pictures: Pictures) -> str | None:
        """Identifies the thumbnail without making it; None where there is nothing to show.

        Evidence is drawn again under the same key, so its age and size count.
        """
        keys = _keys(pictures)
        if not keys:
            return None
        parts = [f"{key}|{self._media.size(key)}|{self._media.modified(key)}" for key in keys]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def make(self, pictures: Pictures, tag: str, *, keep: bool) -> bytes:
        """The thumbnail, JPEG.

        Args:
            keep: in memory; not for material whose source limits how long it may be kept.

        Raises:
            StoreError: ``media.missing``, or the store is out of reach.
        """
        return (self._kept if keep else self._draw)(_keys(pictures), tag)

    def _draw(self, keys: tuple[str, ...], tag: str) -> bytes:
        # The tag is part of the cache's key: it changes with the picture.
        return small(*(self._media.get(key) for key in keys))


def small(*files: bytes) -> bytes:
    """The thumbnail of an evidence picture, or of product and frame, JPEG.

    Raises:
        StoreError: ``media.missing``: a picture cannot be read.
    """
    from pvm_core.evidence.thumbnail import thumbnail

    return thumbnail(files, WIDTH, HEIGHT)


def _keys(pictures: Pictures) -> tuple[str, ...]:
    if pictures.evidence is not None:
        return (pictures.evidence,)
    return tuple(key for key in (pictures.product, pictures.frame) if key is not None)
