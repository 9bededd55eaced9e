"""Stored pictures as evidence shows them: as they are, or with their faces blurred."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pvm_core.images import Rgb, decode_stored
from pvm_resources.media.store import MediaStore


@dataclass(frozen=True)
class PictureSource:
    """Where evidence takes its pictures from.

    Attributes:
        blur: makes faces unrecognisable; None where the rules do not ask for it.
    """

    media: MediaStore
    blur: Callable[[Rgb], Rgb] | None = None

    @property
    def blurs(self) -> bool:
        """Faces are blurred."""
        return self.blur is not None

    def picture(self, key: str) -> Rgb:
        """A stored picture, RGB.

        Raises:
            StoreError: ``media.missing``, or the store is out of reach.
        """
        rgb = decode_stored(self.media.get(key))
        return rgb if self.blur is None else self.blur(rgb)


def picture_source(media: MediaStore, models_dir: Path, *, blurs: bool) -> PictureSource:
    """The source of a process; the networks that find faces are loaded where the rules ask for it.

    Raises:
        ModelError: ``evidence.faces`` where they are not on this machine; ``model.hash``.
    """
    if not blurs:
        return PictureSource(media)
    from pvm_core.faces.blurring import FaceBlur

    return PictureSource(media, FaceBlur(models_dir))
