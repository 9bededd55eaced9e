"""What every store of product vectors does, and the records that it takes and gives."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol

from pvm_core.errors import InputError, ModelError, StoreError
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


@dataclass(frozen=True)
class Condition:
    """A filter as stores without our tables apply it to what `payload` gave them.

    Attributes:
        values: one of these, for a text or a list of texts; none: `least` and `most` bound a number.
    """

    name: str
    values: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None


def payload(metadata: EmbeddingMetadata, at: datetime) -> dict[str, Any]:
    """What such a store keeps: `_key` fields to filter by, the others to show. An unknown price is left out,
    so that it is within no bounds."""
    found: dict[str, Any] = {
        "name": metadata.name, "category": metadata.category, "updated_at": at.isoformat(),
        "category_key": metadata.category.lower(), "brand_key": metadata.brand.lower(),
        "currency_key": metadata.currency.upper(), "source_key": metadata.source,
        "availability_key": metadata.availability, "industries_key": list(metadata.industries),
        "text_version": metadata.text_version,
    }  # fmt: skip
    if metadata.price is not None:
        found["price"] = float(metadata.price)
    return found


def plain_conditions(wanted: ProductFilter | None) -> list[Condition]:
    """The conditions of a filter.

    Raises:
        InputError: ``vectors.filter``: part of a title, or attributes.
    """
    if wanted is None:
        return []
    if wanted.text is not None or wanted.attributes:
        raise InputError(
            "vectors.filter", "this store of vectors", "it cannot filter by title or attributes",
            "Use VECTOR_STORE_TYPE=pgvector, or leave them out",
        )  # fmt: skip
    words = {
        "category_key": [wanted.category.lower()] if wanted.category is not None else [],
        "brand_key": [wanted.brand.lower()] if wanted.brand is not None else [],
        "currency_key": [wanted.currency.upper()] if wanted.currency is not None else [],
        "industries_key": [wanted.industry] if wanted.industry is not None else [],
        "source_key": list(wanted.sources), "availability_key": list(wanted.availability),
    }  # fmt: skip
    found = [Condition(name, tuple(values)) for name, values in words.items() if values]
    if wanted.price_min is not None or wanted.price_max is not None:
        least, most = (None if one is None else float(one) for one in (wanted.price_min, wanted.price_max))
        found.append(Condition("price", least=least, most=most))
    return found


def digest_of(model_key: str) -> str:
    """What stands for a model's key where names are short."""
    return hashlib.sha256(model_key.encode()).hexdigest()[:16]


def found_product(product_id: str, cosine: float, kept: Mapping[str, Any]) -> FoundProduct:
    """A hit of a store that kept `payload`."""
    at = datetime.fromisoformat(str(kept["updated_at"]))
    return FoundProduct(uuid.UUID(product_id), min(1.0, max(0.0, cosine)), str(kept.get("category", "")), at)


def unreachable(where: str, error: BaseException) -> StoreError:
    """The error of a store that does not answer."""
    reason = (str(error) or type(error).__name__)[:200]
    return StoreError("vectors.unreachable", where, reason, "Start it, or correct its address")
