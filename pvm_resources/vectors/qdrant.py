"""Vectors in Qdrant: a collection a model."""

from __future__ import annotations

import contextlib
import uuid
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from pvm_core.errors import StoreError
from pvm_resources.vectors.base import (
    DIMENSION,
    INDEX_NAME,
    MIN_SCORE,
    Condition,
    FoundProduct,
    digest_of,
    found_product,
    unreachable,
)
from pvm_resources.vectors.external import ExternalStore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from qdrant_client import QdrantClient, models

_WHERE: Final = "Qdrant"
#: Points of one request.
_BATCH: Final = 256


class QdrantStore(ExternalStore):
    """See `VectorStore`.

    Args:
        client: of a server, or in memory.
        index_name: begins the collections' names; colons become underscores.
    """

    def __init__(
        self,
        client: QdrantClient,
        model_key: str,
        *,
        dimension: int = DIMENSION,
        index_name: str = INDEX_NAME,
        min_score: float = MIN_SCORE,
    ) -> None:
        super().__init__(model_key, dimension, min_score)
        self._client = client
        self._prefix = f"{index_name.replace(':', '_')}_"
        self._collection = f"{self._prefix}{digest_of(model_key)}"
        self._ready = False

    def get_product_embedding(self, product_id: uuid.UUID) -> NDArray[np.float32] | None:
        """See `VectorStore`."""
        import numpy as np

        with _faults():
            self._ensure()
            found = self._client.retrieve(self._collection, [str(product_id)], with_vectors=True)
        return np.asarray(found[0].vector, np.float32) if found else None

    def delete_product_embedding(self, product_id: uuid.UUID) -> bool:
        """See `VectorStore`."""
        found = False
        with _faults():
            for one in self._client.get_collections().collections:
                if not one.name.startswith(self._prefix):
                    continue
                if self._client.retrieve(one.name, [str(product_id)], with_payload=False):
                    found = True
                    self._client.delete(one.name, [str(product_id)], wait=True)
        return found

    def count(self) -> int:
        """See `VectorStore`."""
        with _faults():
            self._ensure()
            return self._client.count(self._collection, exact=True).count

    def close(self) -> None:
        """Nothing: the client is its maker's."""

    def _store(self, rows: Sequence[tuple[str, NDArray[np.float32], dict[str, Any]]]) -> None:
        from qdrant_client import models

        points = [
            models.PointStruct(id=one, vector=vector.tolist(), payload=kept) for one, vector, kept in rows
        ]
        with _faults():
            self._ensure()
            for start in range(0, len(points), _BATCH):
                self._client.upsert(self._collection, points[start : start + _BATCH], wait=True)

    def _search(
        self, vector: NDArray[np.float32], limit: int, conditions: Sequence[Condition]
    ) -> list[FoundProduct]:
        from qdrant_client import models

        must: list[models.Condition] = [_condition(one) for one in conditions]
        with _faults():
            self._ensure()
            found = self._client.query_points(
                self._collection, vector.tolist(), limit=limit, with_payload=True,
                query_filter=models.Filter(must=must) if must else None,
            ).points  # fmt: skip
        return [found_product(str(one.id), one.score, one.payload or {}) for one in found]

    def _ensure(self) -> None:
        from qdrant_client import models

        if self._ready:
            return
        if not self._client.collection_exists(self._collection):
            self._client.create_collection(
                self._collection,
                vectors_config=models.VectorParams(size=self._dimension, distance=models.Distance.COSINE),
            )
            keyword, number = models.PayloadSchemaType.KEYWORD, models.PayloadSchemaType.FLOAT
            names = ("category", "brand", "currency", "source", "availability", "industries")
            for name, kind in (*((f"{name}_key", keyword) for name in names), ("price", number)):
                # In memory there are none, of which the client warns.
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)
                    self._client.create_payload_index(self._collection, name, kind)
        self._ready = True


def connect(url: str, key: str | None) -> QdrantClient:
    """A client of a server."""
    from qdrant_client import QdrantClient

    return QdrantClient(url=url, api_key=key, timeout=10)


def _condition(one: Condition) -> models.FieldCondition:
    from qdrant_client import models

    if one.values:
        return models.FieldCondition(key=one.name, match=models.MatchAny(any=list(one.values)))
    return models.FieldCondition(key=one.name, range=models.Range(gte=one.least, lte=one.most))


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    from qdrant_client.http.exceptions import ApiException, ResponseHandlingException

    try:
        yield
    except ResponseHandlingException as error:
        raise unreachable(_WHERE, error.source) from error
    except ApiException as error:
        raise StoreError("vectors.refused", _WHERE, str(error)[:200], "Look at its log") from error
