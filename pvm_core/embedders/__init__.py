"""Picture embedders behind one protocol."""

from pvm_core.embedders.base import Embedder, EmbedInput, Kind, Views, embed_views
from pvm_core.embedders.registry import MODELS, ModelSpec, choose_embedder, load_embedder, resolve

__all__ = [
    "MODELS",
    "EmbedInput",
    "Embedder",
    "Kind",
    "ModelSpec",
    "Views",
    "choose_embedder",
    "embed_views",
    "load_embedder",
    "resolve",
]
