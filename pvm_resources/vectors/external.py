"""What stores of vectors have in common that know no table of ours."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pvm_resources.store.product_queries import ProductFilter
from pvm_resources.vectors.base import (
    DIMENSION,
    MIN_SCORE,
    Condition,
    EmbeddingMetadata,
    FoundProduct,
    ProductEmbedding,
    checked,
    payload,
    plain_conditions,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ExternalStore(ABC):
    """See `VectorStore`. It keeps what it filters by with each vector, as it was told last; whether a product
    is still there its reader asks the catalogue.

    Args:
        model_key: several may live side by side.
        dimension: of the model's vectors.
        min_score: the least score of a search that names none.
    """

    def __init__(self, model_key: str, dimension: int = DIMENSION, min_score: float = MIN_SCORE) -> None:
        self._key = model_key
        self._dimension = dimension
        self._min_score = min_score

    def store_product_embedding(
        self, product_id: uuid.UUID, embedding: NDArray[np.float32], metadata: EmbeddingMetadata | None = None
    ) -> bool:
        """See `VectorStore`."""
        one = ProductEmbedding(product_id, embedding, metadata or EmbeddingMetadata())
        return self.store_product_embeddings([one]) == 1

    def store_product_embeddings(self, given: Sequence[ProductEmbedding]) -> int:
        """See `VectorStore`."""
        now = datetime.now(UTC)
        rows = [
            (
                str(one.product_id),
                checked(one.embedding, self._dimension, self._key),
                payload(one.metadata, now),
            )
            for one in given
        ]
        if rows:
            self._store(rows)
        return len(rows)

    def find_similar_products(
        self,
        embedding: NDArray[np.float32],
        limit: int = 10,
        min_score: float | None = None,
        filters: ProductFilter | None = None,
    ) -> list[FoundProduct]:
        """See `VectorStore`."""
        least = self._min_score if min_score is None else min_score
        vector = checked(embedding, self._dimension, self._key)
        found = self._search(vector, limit, plain_conditions(filters))
        found.sort(key=lambda one: (-one.similarity_score, one.product_id))
        return [one for one in found if one.similarity_score >= least]

    @abstractmethod
    def _store(self, rows: Sequence[tuple[str, NDArray[np.float32], dict[str, Any]]]) -> None:
        """Stores vectors with what is kept beside them; seen by the next read."""

    @abstractmethod
    def _search(
        self, vector: NDArray[np.float32], limit: int, conditions: Sequence[Condition]
    ) -> list[FoundProduct]:
        """The nearest that meet all conditions."""
