"""Products with vectors, as the tests of every store write them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from pvm_resources.living_catalogue import LivingCatalogue
from pvm_resources.media.store import MediaStore
from pvm_resources.store.assembly import Store
from pvm_resources.vectors.base import EmbeddingMetadata, ProductEmbedding, VectorStore

#: Opens the store of a model's vectors.
Opened = Callable[[str], VectorStore]
DIM = 384
CATEGORIES = ("Pillows", "Lamps", "Desks")
AVAILABILITIES = ("in_stock", "out_of_stock")


@dataclass(frozen=True)
class Shop:
    """Products in the database, and their vectors; product n has category n % 3, price n, stock n % 2."""

    ids: list[uuid.UUID]
    given: list[ProductEmbedding]

    @property
    def vectors(self) -> NDArray[np.float32]:
        """All vectors, float32 (products, DIM)."""
        return np.stack([one.embedding for one in self.given])

    def exact(self, query: NDArray[np.float32], keep: list[int], least: float, limit: int) -> list[uuid.UUID]:
        """What a search is to find among the products `keep`."""
        scores = self.vectors @ query
        best = sorted(keep, key=lambda n: -scores[n])
        return [self.ids[n] for n in best if scores[n] >= least][:limit]


def unit(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """Random vectors of unit length."""
    found = rng.normal(size=(*shape, DIM))
    return np.asarray(found / np.linalg.norm(found, axis=-1, keepdims=True), np.float32)


def event(n: int, name: str = "p") -> dict[str, object]:
    """The create of product n."""
    return {
        "event_type": "create", "product_id": f"{name}{n}", "version": 1,
        "data": {"name": f"Product {n}", "category": CATEGORIES[n % 3], "price": str(n), "currency": "USD",
                 "availability": AVAILABILITIES[n % 2], "brand": f"Brand {n % 5}"},
    }  # fmt: skip


def metadata(n: int) -> EmbeddingMetadata:
    """What a store keeps of product n."""
    return EmbeddingMetadata(
        f"Product {n}", CATEGORIES[n % 3], f"Brand {n % 5}", Decimal(n), "USD", "file", AVAILABILITIES[n % 2],
        ("shop-a",) if n % 4 == 0 else (),
    )  # fmt: skip


def stocked(store: Store, media: MediaStore, count: int, seed: int = 0) -> Shop:
    """A shop of `count` products; every fourth of the industry ``shop-a``."""
    store.industries.ensure("shop-a")
    events = [{**event(n), "industry": "shop-a" if n % 4 == 0 else ""} for n in range(count)]
    outcomes = LivingCatalogue(store, media).take(events)
    ids = [one.product_id for one in outcomes]
    assert all(one.effect == "created" for one in outcomes), outcomes
    rng = np.random.default_rng(seed)
    # Groups of eight that are alike, as products of one kind are.
    centres = unit(rng, count // 8 + 1)
    vectors = centres[np.arange(count) // 8] + 0.4 * unit(rng, count)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return Shop(ids, [ProductEmbedding(ids[n], vectors[n], metadata(n)) for n in range(count)])
