"""Vectors in Redis with its search engine: a hash a product, ``product:embedding:{id}``, an index a model.

FT.CREATE and FT.SEARCH: Redis's documentation, "Vectors". The founding document wrote ``HNSW 6``, which
counts the arguments that follow and is no M; and it returned the distance as a score.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
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
    from redis import Redis

_WHERE: Final = "Redis"
PREFIX: Final = "product:embedding:"
#: As in pgvector's index.
_M: Final = 16
_EF_CONSTRUCTION: Final = 64
_EF_SEARCH: Final = 100
_TAGS: Final = (
    "category_key", "brand_key", "currency_key", "source_key", "availability_key", "industries_key"
)  # fmt: skip
#: Separates the values of a tag; no slug holds one.
_SEPARATOR: Final = "|"


class RedisStore(ExternalStore):
    """See `VectorStore`.

    Args:
        client: one that does not decode answers.
        index_name: of the model's index, with a hash of its key.
    """

    def __init__(
        self,
        client: Redis,
        model_key: str,
        *,
        dimension: int = DIMENSION,
        index_name: str = INDEX_NAME,
        min_score: float = MIN_SCORE,
    ) -> None:
        super().__init__(model_key, dimension, min_score)
        self._redis = client
        digest = digest_of(model_key)
        self._index = f"{index_name}:{digest}"
        self._field = f"vector:{digest}"
        self._ready = False

    def get_product_embedding(self, product_id: uuid.UUID) -> NDArray[np.float32] | None:
        """See `VectorStore`."""
        import numpy as np

        with _faults():
            found: Any = self._redis.hget(f"{PREFIX}{product_id}", self._field)
        return None if found is None else np.frombuffer(found, "<f4").copy()

    def delete_product_embedding(self, product_id: uuid.UUID) -> bool:
        """See `VectorStore`."""
        with _faults():
            return bool(self._redis.delete(f"{PREFIX}{product_id}"))

    def count(self) -> int:
        """See `VectorStore`."""
        with _faults():
            self._ensure()
            return int(self._redis.ft(self._index).info()["num_docs"])  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """See `VectorStore`."""
        self._redis.close()

    def _store(self, rows: Sequence[tuple[str, NDArray[np.float32], dict[str, Any]]]) -> None:
        with _faults():
            self._ensure()
            with self._redis.pipeline(transaction=False) as pipe:
                for product_id, vector, kept in rows:
                    key = f"{PREFIX}{product_id}"
                    values = {**_texts(kept), self._field: vector.astype("<f4").tobytes()}
                    pipe.hset(key, mapping=values)  # type: ignore[arg-type]
                    if "price" not in kept:
                        pipe.hdel(key, "price")
                pipe.execute()

    def _search(
        self, vector: NDArray[np.float32], limit: int, conditions: Sequence[Condition]
    ) -> list[FoundProduct]:
        from redis.commands.search.query import Query

        wanted = " ".join(map(_condition, conditions)) or "*"
        query = (
            Query(f"({wanted})=>[KNN {limit} @vector $v EF_RUNTIME {max(limit, _EF_SEARCH)} AS distance]")
            .sort_by("distance").paging(0, limit).return_fields("distance", "category", "updated_at")
            .dialect(2)
        )  # fmt: skip
        with _faults():
            self._ensure()
            found = self._redis.ft(self._index).search(query, {"v": vector.astype("<f4").tobytes()})
        return [
            found_product(_text(one.id).removeprefix(PREFIX), 1 - float(one.distance), vars(one))
            for one in found.docs
        ]

    def _ensure(self) -> None:
        if self._ready:
            return
        # The module that has the index definition was renamed between versions of the client.
        command = [
            "FT.CREATE", self._index, "ON", "HASH", "PREFIX", "1", PREFIX, "SCHEMA", self._field, "AS",
            "vector", "VECTOR", "HNSW", "10", "TYPE", "FLOAT32", "DIM", str(self._dimension),
            "DISTANCE_METRIC", "COSINE", "M", str(_M), "EF_CONSTRUCTION", str(_EF_CONSTRUCTION),
        ]  # fmt: skip
        for name in _TAGS:
            command += [name, "TAG", "SEPARATOR", _SEPARATOR]
        try:
            self._redis.execute_command(*command, "price", "NUMERIC")  # type: ignore[no-untyped-call]
        except _response_error() as error:
            if "already exists" not in str(error).lower():
                raise
        self._ready = True


def connect(host: str, port: int, db: int, password: str | None) -> Redis:
    """A client that connects when it is used, and leaves bytes as they are."""
    import redis

    # The search engine's answers are read in the form that every version of it gives.
    return redis.Redis(host=host, port=port, db=db, password=password, socket_timeout=10, protocol=2)


def _texts(kept: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _SEPARATOR.join(value) if isinstance(value, list) else str(value)
        for name, value in kept.items()
    }


def _condition(one: Condition) -> str:
    if one.values:
        return f"@{one.name}:{{{'|'.join(map(_escaped, one.values))}}}"
    least = "-inf" if one.least is None else repr(one.least)
    most = "+inf" if one.most is None else repr(one.most)
    return f"@{one.name}:[{least} {most}]"


def _escaped(tag: str) -> str:
    # Everything that is no letter, digit or underscore may mean something in a query.
    return re.sub(r"(\W)", r"\\\1", tag)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _response_error() -> type[Exception]:
    import redis

    return redis.ResponseError


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    import redis

    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        raise unreachable(_WHERE, error) from error
    except redis.ResponseError as error:
        if "unknown command" in str(error).lower():
            raise StoreError(
                "vectors.search", _WHERE, "it has no search engine", "Use Redis 8, or Redis Stack"
            ) from error
        raise StoreError("vectors.refused", _WHERE, str(error)[:200], "Look at its log") from error
