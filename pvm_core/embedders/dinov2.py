"""DINOv2 and other vision transformers through timm, from a weights file in the model store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvm_core.embedders.learned import LOAD_ERRORS, LearnedEmbedder, pick_device
from pvm_core.weights import unusable, weights_path

if TYPE_CHECKING:
    from pvm_core.model_registry import ModelSpec


def load_timm(spec: ModelSpec, models_dir: Path | None, device: str) -> LearnedEmbedder:
    """A timm model without its classifier.

    timm adapts position embeddings to `spec.image_size`; transforms are those timm resolves for the model.

    Raises:
        ModelError: ``model.missing``, ``model.hash``, ``model.weights``, ``model.device``.
    """
    path, manifest = weights_path(models_dir, spec.name, spec.sha256)
    import timm

    library: Any = timm  # typed in part: strict checking trips over its own signatures
    where = pick_device(spec.name, device)
    sized = {"img_size": spec.image_size} if spec.image_size else {}
    try:
        model = library.create_model(
            spec.architecture,
            pretrained=True,
            pretrained_cfg_overlay={"file": str(path), "custom_load": False},
            num_classes=0,
            **sized,
        )
    except LOAD_ERRORS as error:
        raise unusable(spec.name, path, f"does not fit {spec.architecture}", error) from error
    overrides = {"input_size": (3, spec.image_size, spec.image_size)} if spec.image_size else {}
    config = library.data.resolve_model_data_config(model, args=overrides)
    transform = library.data.create_transform(**config, is_training=False)
    size = str(config["input_size"][-1])
    identity = ("timm", spec.architecture, spec.pretrained, manifest.sha256, size)
    return LearnedEmbedder(
        spec.name, identity, int(model.num_features), where, model.eval().to(where), transform
    )
