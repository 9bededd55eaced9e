"""Segmenters behind one protocol."""

from __future__ import annotations

from pathlib import Path

from pvm_core.errors import ModelError
from pvm_core.masks.base import Kind, MaskResult, Segmenter, with_timeout
from pvm_core.masks.classic import ClassicSegmenter

__all__ = ["Kind", "MaskResult", "Segmenter", "load_segmenter", "with_timeout"]


def load_segmenter(name: str, models_dir: Path | None) -> Segmenter:
    """The segmenter called `name`.

    Raises:
        ModelError: ``model.unknown``, ``model.missing``.
    """
    if name == "classic":
        return ClassicSegmenter()
    raise ModelError("model.unknown", name, "no segmenter of this name is known", "See `pvm models list`")
