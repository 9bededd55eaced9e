"""The models the platform knows by name, and how one is loaded."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pvm_core.embedders.base import Embedder
from pvm_core.embedders.classic import ClassicEmbedder
from pvm_core.errors import ModelError


@dataclass(frozen=True)
class ModelSpec:
    """A model known by name."""

    name: str
    kind: Literal["embedder", "segmenter"]
    library: Literal["builtin", "open_clip", "timm", "rembg"]
    architecture: str = ""
    pretrained: str = ""
    licence: str = ""
    permissive: bool = True
    sha256: str | None = None
    dim: int = 0
    preprocessing: str = ""


MODELS: Final[dict[str, ModelSpec]] = {
    "classic": ModelSpec("classic", "embedder", "builtin", licence="Apache-2.0", dim=192),
}


def load_embedder(name: str, models_dir: Path | None, device: str = "auto") -> Embedder:
    """The embedder called `name`.

    Raises:
        ModelError: ``model.unknown``, ``model.missing``.
    """
    if name == "classic":
        return ClassicEmbedder()
    raise ModelError("model.unknown", name, "no embedder of this name is known", "See `pvm models list`")


def choose_embedder(setting: str, models_dir: Path | None, calibrated: Container[str]) -> str:
    """The name of the embedder `setting` asks for; ``auto`` takes the best present and calibrated one."""
    return "classic" if setting == "auto" else setting
