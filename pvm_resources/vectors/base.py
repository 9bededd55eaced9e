"""What every store of product vectors does, and the records that it takes and gives."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Protocol

from pvm_core.errors import InputError, ModelError
from pvm_resources.store.product_queries import ProductFilter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: The founding values of `VECTOR_DIMENSION`, `VECTOR_INDEX_NAME` and `SIMILARITY_THRESHOLD`.
DIMENSION: Final = 384
INDEX_NAME: Final = "product:vectors"
MIN_SCORE: Final = 0.75
#: How far from 1 the length of a vector may be.
_UNIT: Final = 1e-3


@dataclass(frozen=True)
class EmbeddingMetadata:
    """What a store that knows no other table keeps beside a vector, to filter by and to show.

    Attributes:
        price: None where unknown.
        industries: slugs of those that have the product.
        text_version: `products.text_version` of the words that the vector was made of; "" for those that the
            product has now.
    """

    name: str = ""
    category: str = ""
    brand: str = ""
    price: Decimal | None = None
    currency: str = ""
    source: str = ""
    availability: str = ""
    industries: tuple[str, ...] = ()
    text_version: str = ""


@dataclass(frozen=True)
class ProductEmbedding:
    """A product's vector: float32 (dimension,), unit length."""

    product_id: uuid.UUID
    embedding: NDArray[np.float32]
    metadata: EmbeddingMetadata = field(default_factory=EmbeddingMetadata)


@dataclass(frozen=True)
class FoundProduct:
    """A product whose vector is like the one asked for.

    Attributes:
        similarity_score: max(0, cosine); the greater, the more alike.
        embedding_updated_at: when its vector was stored.
    """

    product_id: uuid.UUID
    similarity_score: float
    category: str
    embedding_updated_at: datetime


class VectorStore(Protocol):
    """Vectors of products, one each and model; what is written is seen by the next read.

    The names are those of the founding document. All raise `StoreError` where the store does not answer, and
    ``model.dimension`` or ``vectors.length`` for a vector that is none of the store's.
    """

    def store_product_embedding(
        self, product_id: uuid.UUID, embedding: NDArray[np.float32], metadata: EmbeddingMetadata | None = None
    ) -> bool:
        """Stores a product's vector in place of the one before; False where there is no such product any
        more, or its words are others by now, as far as the store knows."""

    def store_product_embeddings(self, given: Sequence[ProductEmbedding]) -> int:
        """Stores vectors of products, each once, at once; how many of them were."""

    def get_product_embedding(self, product_id: uuid.UUID) -> NDArray[np.float32] | None:
        """A product's vector, float32 (dimension,); None where there is none."""

    def delete_product_embedding(self, product_id: uuid.UUID) -> bool:
        """Removes a product's vectors, those of other models too; False where there were none."""

    def find_similar_products(
        self,
        embedding: NDArray[np.float32],
        limit: int = 10,
        min_score: float | None = None,
        filters: ProductFilter | None = None,
    ) -> list[FoundProduct]:
        """The products most like a vector, best first; where so many match, `limit` of them.

        Args:
            limit: most products, >= 1.
            min_score: least score, 0 to 1; None: `SIMILARITY_THRESHOLD`.
            filters: only these.

        Raises:
            InputError: ``vectors.filter``: the store cannot filter by that.
        """

    def count(self) -> int:
        """Products that have a vector of the store's model."""

    def close(self) -> None:
        """Ends its connections."""


def checked(embedding: NDArray[np.float32], dimension: int, where: str) -> NDArray[np.float32]:
    """The vector, float32.

    Raises:
        ModelError: ``model.dimension``.
        InputError: ``vectors.length``.
    """
    import numpy as np

    found = np.ascontiguousarray(embedding, np.float32)
    if found.shape != (dimension,):
        raise ModelError(
            "model.dimension", where, f"a vector {found.shape} has not its {dimension} dimensions",
            "Embed it with the store's model, or set VECTOR_DIMENSION",
        )  # fmt: skip
    length = float(np.linalg.norm(found))
    if not abs(length - 1) < _UNIT:
        raise InputError("vectors.length", where, f"a vector has length {length:.3f}, not 1", "Normalise it")
    return found
