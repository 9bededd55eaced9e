"""Segmenters behind one protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pvm_core.errors import ModelError
from pvm_core.masks.base import Kind, MaskResult, Segmenter
from pvm_core.masks.classic import ClassicSegmenter

if TYPE_CHECKING:
    from pvm_core.model_registry import ModelSpec

__all__ = ["Kind", "MaskResult", "Segmenter", "load_segmenter"]


def load_segmenter(
    name: str,
    models_dir: Path | None,
    providers: tuple[str, ...] = ("CPUExecutionProvider",),
    specs: Mapping[str, ModelSpec] | None = None,
) -> Segmenter:
    """The segmenter called `name`.

    Args:
        name: ``classic`` (also called ``auto``), a segmenter of the registry, or two of them joined by ``+``:
            the second one's region (people) is taken away on frames, ``isnet-general-use+u2net-human-seg``.
        models_dir: the model store; None where there is none.
        providers: ONNX Runtime execution providers of learned segmenters, best first.
        specs: the registry; default `pvm_core.model_registry.MODELS`.

    Raises:
        ModelError: ``model.unknown``, ``model.kind``, ``model.library``, ``model.missing``, ``model.hash``,
            ``model.weights``.
    """
    if name in ("auto", "classic"):
        return ClassicSegmenter()
    from pvm_core.masks.learned import load_rembg
    from pvm_core.model_registry import MODELS, require_library, resolve

    chosen = tuple(resolve(part, MODELS if specs is None else specs) for part in name.split("+", 1))
    for spec in chosen:
        if spec.kind != "segmenter":
            raise ModelError(
                "model.kind", spec.name, f"it is an {spec.kind}, not a segmenter", "See `pvm models list`"
            )
        require_library(spec)
    return load_rembg(name, chosen, models_dir, providers)
