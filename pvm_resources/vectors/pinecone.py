"""Vectors in Pinecone: one index, made there with metric ``cosine``; a namespace a model.

Pinecone is eventually consistent: a write may be seen a moment later (its documentation, "Data freshness").
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from pvm_core.errors import StoreError
from pvm_resources.vectors.base import (
    DIMENSION,
    MIN_SCORE,
    Condition,
    FoundProduct,
    found_product,
    unreachable,
)
from pvm_resources.vectors.external import ExternalStore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pinecone import Index

_WHERE: Final = "Pinecone"
#: Vectors of one request; Pinecone's limit is 2 MB.
_BATCH: Final = 200


class PineconeStore(ExternalStore):
    """See `VectorStore`.

    Args:
        index: made by `connect`.
    """

    def __init__(
        self, index: Index, model_key: str, *, dimension: int = DIMENSION, min_score: float = MIN_SCORE
    ) -> None:
        super().__init__(model_key, dimension, min_score)
        self._index = index

    def get_product_embedding(self, product_id: uuid.UUID) -> NDArray[np.float32] | None:
        """See `VectorStore`."""
        import numpy as np

        with _faults():
            found = self._index.fetch(ids=[str(product_id)], namespace=self._key).vectors
        one = found.get(str(product_id))
        return None if one is None else np.asarray(one.values, np.float32)

    def delete_product_embedding(self, product_id: uuid.UUID) -> bool:
        """See `VectorStore`."""
        found = False
        with _faults():
            for name in self._index.describe_index_stats().namespaces:
                if self._index.fetch(ids=[str(product_id)], namespace=name).vectors:
                    found = True
                    self._index.delete(ids=[str(product_id)], namespace=name)
        return found

    def count(self) -> int:
        """See `VectorStore`."""
        with _faults():
            found = self._index.describe_index_stats().namespaces.get(self._key)
        return int(found.vector_count) if found is not None else 0

    def close(self) -> None:
        """Nothing: the client is its maker's."""

    def _store(self, rows: Sequence[tuple[str, NDArray[np.float32], dict[str, Any]]]) -> None:
        vectors = [(product_id, vector.tolist(), kept) for product_id, vector, kept in rows]
        with _faults():
            for start in range(0, len(vectors), _BATCH):
                self._index.upsert(
                    vectors=vectors[start : start + _BATCH], namespace=self._key, show_progress=False
                )

    def _search(
        self, vector: NDArray[np.float32], limit: int, conditions: Sequence[Condition]
    ) -> list[FoundProduct]:
        with _faults():
            found = self._index.query(
                vector=vector.tolist(), top_k=limit, namespace=self._key, include_metadata=True,
                filter=_filter(conditions),
            ).matches  # fmt: skip
        return [found_product(one.id, float(one.score or 0.0), one.metadata or {}) for one in found]


def connect(host: str, key: str) -> Index:
    """An index by its own address, as Pinecone's console shows it."""
    from pinecone import Index

    return Index(host=host, api_key=key, timeout=10.0)


def _filter(conditions: Sequence[Condition]) -> dict[str, Any] | None:
    found: list[dict[str, Any]] = []
    for one in conditions:
        if one.values:
            found.append({one.name: {"$in": list(one.values)}})
            continue
        bounds = {"$gte": one.least, "$lte": one.most}
        found += [{one.name: {name: value}} for name, value in bounds.items() if value is not None]
    return {"$and": found} if found else None


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    from pinecone import errors

    try:
        yield
    except errors.ApiError as error:
        reason = str(error)[:200]
        raise StoreError("vectors.refused", _WHERE, reason, "Look at the index and the key") from error
    except (errors.PineconeError, OSError) as error:
        raise unreachable(_WHERE, error) from error
