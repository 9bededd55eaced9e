"""Segmenters behind one protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pvm_core.errors import ModelError
from pvm_core.masks.base import Kind, MaskResult, Segmenter
from pvm_core.masks.classic import ClassicSegmenter
from pvm_core.providers import execution_providers

if TYPE_CHECKING:
    from pvm_core.model_registry import ModelSpec

__all__ = ["Kind", "MaskResult", "Segmenter", "load_segmenter"]


def load_segmenter(
    name: str,
    models_dir: Path | None,
    providers: tuple[str, ...] | None = None,
    specs: Mapping[str, ModelSpec] | None = None,
) -> Segmenter:
    """The segmenter called `name`.

    Args:
        name: ``classic`` (also called ``auto``), a segmenter of the registry, or one of these and a segmenter
            of people joined by ``+``: people are taken away on frames (``classic+selfie-segmentation``,
            ``isnet-general-use+u2net-human-seg``).
        models_dir: the model store; None where there is none.
        providers: ONNX Runtime execution providers of learned segmenters, best first; default those of this
            machine.
        specs: the registry; default `pvm_core.model_registry.MODELS`.

    Raises:
        ModelError: ``model.unknown``, ``model.kind``, ``model.library``, ``model.missing``, ``model.hash``,
            ``model.weights``.
    """
    if name in ("auto", "classic"):
        return ClassicSegmenter()
    from pvm_core.model_registry import MODELS

    known = MODELS if specs is None else specs
    base, _, people = name.partition("+")
    if people and (finder := _segmenter_spec(people, known)).library == "wheel_file":
        from pvm_core.masks.people import WithoutPeople, load_selfie

        return WithoutPeople(
            load_segmenter(base, models_dir, providers, specs), load_selfie(finder, models_dir)
        )
    chosen = tuple(_segmenter_spec(part, known) for part in name.split("+", 1))
    if any(spec.library == "wheel_file" for spec in chosen):
        raise ModelError(
            "model.kind", name, "it finds people, not products", f"Name it after another one: classic+{name}"
        )
    from pvm_core.masks.learned import load_rembg

    return load_rembg(name, chosen, models_dir, execution_providers() if providers is None else providers)


def _segmenter_spec(name: str, specs: Mapping[str, ModelSpec]) -> ModelSpec:
    from pvm_core.model_registry import require_library, resolve

    spec = resolve(name, specs)
    if spec.kind != "segmenter":
        reason = f"its kind is {spec.kind}, not segmenter"
        raise ModelError("model.kind", spec.name, reason, "See `pvm models list`")
    require_library(spec)
    return spec
