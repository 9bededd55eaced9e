"""Weight-free segmenter."""

from __future__ import annotations

from dataclasses import dataclass

from pvm_core.ids import content_key
from pvm_core.masks.base import Bytes, Kind, MaskResult


@dataclass(frozen=True)
class ClassicSegmenter:
    """Weight-free segmenter."""

    name: str = "classic"

    @property
    def key(self) -> str:
        return content_key("segmenter", self.name, "0")

    def segment(self, rgb: Bytes, kind: Kind) -> MaskResult:
        return MaskResult.none("not-attempted")
