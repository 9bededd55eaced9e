"""Picture embedders behind one protocol."""

from pvm_core.embedders.base import Embedder, EmbedInput, Kind, Views, embed_views
from pvm_core.embedders.loading import choose_embedder, load_embedder

__all__ = [
    "EmbedInput",
    "Embedder",
    "Kind",
    "Views",
    "choose_embedder",
    "embed_views",
    "load_embedder",
]
