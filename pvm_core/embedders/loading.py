"""Which embedder a setting asks for, and how one is loaded."""

from __future__ import annotations

from collections.abc import Container, Mapping
from importlib.util import find_spec
from pathlib import Path

from pvm_core.embedders.base import Embedder
from pvm_core.embedders.classic import ClassicEmbedder
from pvm_core.errors import ModelError
from pvm_core.model_registry import LIBRARY_MODULES, MODELS, PREFERENCE, ModelSpec, require_library, resolve
from pvm_core.weights import is_present, missing


def load_embedder(
    name: str, models_dir: Path | None, device: str = "auto", specs: Mapping[str, ModelSpec] = MODELS
) -> Embedder:
    """The embedder called `name`, ready to compute.

    Args:
        name: a registry name, ``open_clip:ARCHITECTURE/TAG`` or ``timm:ARCHITECTURE``.
        models_dir: the model store; None where there is none.
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
        specs: the registry.

    Raises:
        ModelError: ``model.unknown``, ``model.kind``, ``model.library``, ``model.missing``, ``model.hash``,
            ``model.weights``, ``model.device``, ``model.dim``.
    """
    spec = resolve(name, specs)
    if spec.kind != "embedder":
        raise ModelError("model.kind", name, f"it is a {spec.kind}, not an embedder", "See `pvm models list`")
    if spec.library == "builtin":
        return ClassicEmbedder()
    if spec.library == "wheel":
        from pvm_core.embedders.lite0 import Lite0Embedder

        return Lite0Embedder(models_dir)
    if not is_present(models_dir, name):
        raise missing(name)
    require_library(spec)
    if spec.library == "open_clip":
        from pvm_core.embedders.openclip import load_openclip as load
    else:
        from pvm_core.embedders.dinov2 import load_timm as load
    embedder = load(spec, models_dir, device)
    if spec.dim and embedder.dim != spec.dim:
        raise ModelError(
            "model.dim", name, f"it gives {embedder.dim} values, not {spec.dim}", "Pull its weights again"
        )
    return embedder


def choose_embedder(
    setting: str,
    models_dir: Path | None,
    calibrated: Container[str],
    specs: Mapping[str, ModelSpec] = MODELS,
) -> str:
    """The name of the embedder that the setting ``EMBED_MODEL`` asks for.

    ``auto`` takes the first of `PREFERENCE` that is on this machine, can be loaded here and is calibrated;
    ``classic`` where none is. Nothing is ever downloaded.

    Raises:
        ModelError: ``model.unknown``, ``model.kind``; ``model.missing`` for a named model without weights.
    """
    if setting != "auto":
        spec = resolve(setting, specs)
        if spec.kind != "embedder":
            raise ModelError("model.kind", setting, f"it is a {spec.kind}", "See `pvm models list`")
        if not spec.installed and not is_present(models_dir, setting):
            raise missing(setting)
        return setting
    for name in PREFERENCE:
        known = specs.get(name)
        if known is not None and name in calibrated and _usable(known, models_dir):
            return name
    return "classic"


def _usable(spec: ModelSpec, models_dir: Path | None) -> bool:
    """Whether the model is on this machine with what loads it."""
    if spec.installed:
        return True
    return is_present(models_dir, spec.name) and find_spec(LIBRARY_MODULES[spec.library]) is not None
