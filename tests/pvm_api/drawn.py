"""Small pictures, and a search that knows them."""

from __future__ import annotations

import uuid

import cv2
import numpy as np

from pvm_core.embedders import EmbedInput, load_embedder
from pvm_core.images import stored_pixels
from pvm_resources.store.assembly import Store
from pvm_resources.store.records import Embedding, Model


def jpeg(seed: int, width: int = 120, height: int = 90) -> bytes:
    """A small picture that depends on `seed` alone."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (6, 8, 3), np.uint8)
    done, data = cv2.imencode(".jpg", cv2.resize(coarse, (width, height)))
    assert done
    return data.tobytes()


def embed(repos: Store, pictures: dict[uuid.UUID, bytes]) -> None:
    """Makes pictures of products, by their ids, known to the search."""
    embedder = load_embedder("classic", None)
    model = Model("search", "classic", "embedder", embedder.dim, {"masks": "off"}, active=True)
    repos.features.register_model(model)
    for image, data in pictures.items():
        (views,) = embedder.embed_views([EmbedInput(stored_pixels(data, "x"))], "product", False)
        repos.features.write(
            "embeddings", [Embedding(image, "product", "search", "classic", 0, views.rgb[0])]
        )
