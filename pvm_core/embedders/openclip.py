"""CLIP image towers through open_clip, from a weights file in the model store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pvm_core.embedders.learned import LOAD_ERRORS, LearnedEmbedder, pick_device
from pvm_core.weights import unusable, weights_path

if TYPE_CHECKING:
    from pvm_core.model_registry import ModelSpec


def load_openclip(spec: ModelSpec, models_dir: Path | None, device: str) -> LearnedEmbedder:
    """The image tower of an open_clip model.

    Mean, standard deviation, resizing and activation are those of open_clip's own entry for the weights;
    weights that open_clip does not know use its defaults for the architecture.

    Raises:
        ModelError: ``model.missing``, ``model.hash``, ``model.weights``, ``model.device``.
    """
    path, manifest = weights_path(models_dir, spec.name, spec.sha256)
    import open_clip

    known = open_clip.get_pretrained_cfg(spec.architecture, spec.pretrained)
    where = pick_device(spec.name, device)
    try:
        model, _, transform = open_clip.create_model_and_transforms(
            spec.architecture,
            pretrained=str(path),
            force_quick_gelu=known.get("quick_gelu", False),
            image_mean=known.get("mean"),
            image_std=known.get("std"),
            image_interpolation=known.get("interpolation"),
            image_resize_mode=known.get("resize_mode"),
        )
    except LOAD_ERRORS as error:
        raise unusable(spec.name, path, f"does not fit {spec.architecture}", error) from error
    tower = model.visual.eval().to(where)
    size = tower.image_size[0] if isinstance(tower.image_size, tuple) else tower.image_size
    identity = ("open_clip", spec.architecture, spec.pretrained, manifest.sha256, str(size))
    return LearnedEmbedder(spec.name, identity, int(tower.output_dim), where, tower, transform)
