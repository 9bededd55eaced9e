"""Vectors of products' texts in PostgreSQL: table `product_text_embeddings`, an HNSW index a model.

Filters are those of table `products` itself, so what a vector is found by is always what its product is now.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg import sql

from pvm_resources.postgres.driver import Database
from pvm_resources.store.base import Cursor, json
from pvm_resources.store.match_record import where
from pvm_resources.store.product_queries import ProductFilter, conditions
from pvm_resources.vectors.base import (
    DIMENSION,
    INDEX_NAME,
    MIN_SCORE,
    EmbeddingMetadata,
    FoundProduct,
    ProductEmbedding,
    checked,
    digest_of,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: pgvector's defaults, written out so that an update cannot change them (its README, "HNSW").
_HNSW: Final = "m = 16, ef_construction = 64"
#: Candidates that a search of the graph keeps. Recall among 100,000 products: bench/bench_vectors.py.
_EF_SEARCH: Final = 320
#: Vectors that a filtered search of the graph reads before all that match are compared instead.
_SCAN: Final = 2_000
#: Where the planner expects so few products to match, all of them are compared at once.
_FEW: Final = 2_000
_WRITE: Final = """
INSERT INTO product_text_embeddings AS t (product_id, model_key, embedding, text_version, updated_at)
SELECT g.product_id, %(model)s, g.embedding::vector, p.text_version, clock_timestamp()
FROM unnest(%(ids)s::uuid[], %(vectors)s::text[], %(versions)s::text[]) g (product_id, embedding, version)
JOIN products p USING (product_id)
WHERE g.version IN ('', p.text_version) AND p.purged_at IS NULL
ORDER BY g.product_id FOR KEY SHARE OF p
ON CONFLICT (product_id, model_key) DO UPDATE SET embedding = excluded.embedding,
    text_version = excluded.text_version, updated_at = excluded.updated_at
"""
#: Settings of the planner that the exact search wants back.
_PLANNER: Final = frozenset({"enable_sort", "enable_bitmapscan", "enable_hashjoin", "enable_seqscan"})
#: The order of the index stands only as long as nothing is sorted or hashed after it.
_INDEXED: Final = {
    "hnsw.iterative_scan": "relaxed_order", "hnsw.ef_search": str(_EF_SEARCH),
    "hnsw.max_scan_tuples": str(_SCAN), "enable_sort": "off", "enable_hashjoin": "off",
    "enable_mergejoin": "off", "enable_seqscan": "off", "enable_bitmapscan": "off",
}  # fmt: skip
_SET: Final = "SELECT set_config(key, value, true) FROM jsonb_each_text(%s)"
#: Memory and processes that make an index at once; both are free again when it is there.
_BUILD: Final = {"maintenance_work_mem": "512MB", "max_parallel_maintenance_workers": "2"}
#: Scores nearer to each other than this are one: of alike products any may be found.
_SAME: Final = 1e-6


@dataclass(frozen=True)
class Recall:
    """How many of the nearest products the index finds.

    Attributes:
        queries: stored vectors that were searched for.
        wanted: products that comparing all vectors finds for them.
        found: of those, that the index finds, or others as near.
    """

    queries: int
    wanted: int
    found: int

    @property
    def share(self) -> float:
        """Found of wanted, 0 to 1."""
        return self.found / self.wanted


class PgVectorStore:
    """Vectors of one model.

    Args:
        database: where the products are, too.
        model_key: several may live side by side.
        dimension: of the model's vectors, 1 to 4,000.
        index_name: the model's index is named by it and a hash of its key.
        min_score: the least score of a search that names none.
    """

    def __init__(
        self,
        database: Database,
        model_key: str,
        *,
        dimension: int = DIMENSION,
        index_name: str = INDEX_NAME,
        min_score: float = MIN_SCORE,
    ) -> None:
        self._db = database
        self._key = model_key
        self._dimension = dimension
        self._index = f"{index_name[:40]}:{digest_of(model_key)}"
        self._min_score = min_score
        self._indexed = False

    def store_product_embedding(
        self, product_id: uuid.UUID, embedding: NDArray[np.float32], metadata: EmbeddingMetadata | None = None
    ) -> bool:
        """See `VectorStore`. The product is asked for what filters need; of `metadata` the text's version
        counts alone."""
        one = ProductEmbedding(product_id, embedding, metadata or EmbeddingMetadata())
        return self.store_product_embeddings([one]) == 1

    def store_product_embeddings(self, given: Sequence[ProductEmbedding]) -> int:
        """See `VectorStore`."""
        if not given:
            return 0
        vectors = [_text(checked(one.embedding, self._dimension, self._key)) for one in given]
        values = {
            "model": self._key, "ids": [one.product_id for one in given], "vectors": vectors,
            "versions": [one.metadata.text_version for one in given],
        }  # fmt: skip
        with self._db.transaction() as cursor:
            self._ensure_index(cursor)
            return cursor.execute(_WRITE, values).rowcount

    def get_product_embedding(self, product_id: uuid.UUID) -> NDArray[np.float32] | None:
        """See `VectorStore`."""
        import numpy as np

        query = "SELECT embedding::text FROM product_text_embeddings WHERE product_id = %s AND model_key = %s"
        found = self._db.value(query, [product_id, self._key])
        return None if found is None else np.array(found.strip("[]").split(","), np.float32)

    def delete_product_embedding(self, product_id: uuid.UUID) -> bool:
        """See `VectorStore`. With a product's row its vectors go by themselves."""
        with self._db.transaction() as cursor:
            query = "DELETE FROM product_text_embeddings WHERE product_id = %s"
            return cursor.execute(query, [product_id]).rowcount > 0

    def find_similar_products(
        self,
        embedding: NDArray[np.float32],
        limit: int = 10,
        min_score: float | None = None,
        filters: ProductFilter | None = None,
    ) -> list[FoundProduct]:
        """See `VectorStore`. The index proposes (half precision, iterative scan: README of pgvector,
        "Iterative Index Scans") and full precision decides; where it ends early, or few products match, all
        that match are compared."""
        least = self._min_score if min_score is None else min_score
        clause, values = where(conditions(filters or ProductFilter()))
        values |= {"v": _text(checked(embedding, self._dimension, self._key)), "k": limit}
        with self._db.transaction(pipelined=True) as cursor:
            if filters is None or not _few(cursor, clause, values):
                # The library is loaded with its first use; before that its settings are unknown.
                _other(cursor).execute("SELECT '[1]'::vector")
                # Nothing else runs in this transaction but the exact search, which no index serves.
                _other(cursor).execute(_SET, [json(_INDEXED)])
                found = self._found(cursor, self._nearest(clause), values)
                if len(found) == limit or (found and found[-1].similarity_score < least):
                    return [one for one in found if one.similarity_score >= least]
                _other(cursor).execute(_SET, [json(dict.fromkeys(_INDEXED.keys() & _PLANNER, "on"))])
            found = self._found(cursor, self._compared(clause), values)
        return [one for one in found if one.similarity_score >= least]

    def count(self) -> int:
        """See `VectorStore`."""
        query = "SELECT count(*) FROM product_text_embeddings WHERE model_key = %s"
        return int(self._db.value(query, [self._key]))

    def recall(self, *, queries: int = 10, limit: int = 20, seconds: float = 2.0) -> Recall | None:
        """Measured by searching for stored vectors drawn at random, through the index and by comparing all;
        None where there is no vector or no index.

        Args:
            limit: products wanted of each search.
            seconds: after which no further search begins.
        """
        until = time.monotonic() + seconds
        measured = Recall(0, 0, 0)
        with self._db.transaction() as cursor:
            if cursor.execute("SELECT to_regclass(quote_ident(%s))", [self._index]).fetchone() == (None,):
                return None
            query = (
                "SELECT embedding::text FROM product_text_embeddings WHERE model_key = %s "
                "ORDER BY random() LIMIT %s"
            )
            for (vector,) in cursor.execute(query, [self._key, queries]).fetchall():
                if measured.queries and time.monotonic() > until:
                    break
                measured = self._searched(cursor, {"v": vector, "k": limit}, measured)
        return measured if measured.wanted else None

    def _searched(self, cursor: Cursor, values: Mapping[str, Any], before: Recall) -> Recall:
        """One more search, through the index and by comparing all."""
        clause, more = where(conditions(ProductFilter()))
        cursor.execute(_SET, [json(_INDEXED)])
        near = self._found(cursor, self._nearest(clause), {**values, **more})
        cursor.execute(_SET, [json(dict.fromkeys(_INDEXED.keys() & _PLANNER, "on"))])
        exact = self._found(cursor, self._compared(clause), {**values, **more})
        least = exact[-1].similarity_score - _SAME if exact else 0.0
        found = sum(one.similarity_score >= least for one in near)
        return Recall(before.queries + 1, before.wanted + len(exact), before.found + found)

    def close(self) -> None:
        """Nothing: the database is its maker's."""

    def drop(self) -> None:
        """Removes the model's vectors and its index."""
        with self._db.transaction() as cursor:
            cursor.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(self._index)))
            cursor.execute("DELETE FROM product_text_embeddings WHERE model_key = %s", [self._key])
        self._indexed = False

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """For many vectors of a new model: its index is made at the end, several times faster than by one
        vector after another. Searches meanwhile compare all vectors."""
        self._indexed = True
        try:
            yield
        finally:
            self._indexed = False
        with self._db.transaction() as cursor:
            cursor.execute(_SET, [json(_BUILD)])
            self._ensure_index(cursor)

    def _ensure_index(self, cursor: Cursor) -> None:
        if self._indexed:
            return
        # IF NOT EXISTS alone would lock the table each time a process starts.
        there = "SELECT to_regclass(quote_ident(%s))"
        if cursor.execute(there, [self._index]).fetchone() == (None,):
            # Two that make it at once, each about to write, would wait for each other.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [self._index])
            cursor.execute(
                sql.SQL(
                    "CREATE INDEX IF NOT EXISTS {name} ON product_text_embeddings USING hnsw "
                    f"((embedding::halfvec({{dim}})) halfvec_cosine_ops) WITH ({_HNSW}) "
                    "WHERE model_key = {key}"
                ).format(name=sql.Identifier(self._index), **self._literals())
            )
        self._indexed = True

    def _literals(self) -> dict[str, sql.Literal]:
        return {"dim": sql.Literal(self._dimension), "key": sql.Literal(self._key)}

    def _nearest(self, clause: str) -> sql.Composed:
        # A partial index fits its model's literal key alone. Twice as many as are wanted make up for the half
        # precision and the relaxed order.
        return sql.SQL(
            "WITH near AS MATERIALIZED ("
            "SELECT e.product_id, p.category, e.embedding, e.updated_at FROM product_text_embeddings e "
            f"JOIN products p USING (product_id) {clause} AND e.model_key = {{key}} "
            "ORDER BY e.embedding::halfvec({dim}) <=> %(v)s::vector::halfvec({dim}) LIMIT 2 * %(k)s) "
            "SELECT product_id, greatest(0, 1 - (embedding <=> %(v)s::vector)), category, updated_at "
            "FROM near ORDER BY embedding <=> %(v)s::vector, product_id LIMIT %(k)s"
        ).format(**self._literals())

    def _compared(self, clause: str) -> sql.Composed:
        return sql.SQL(
            "SELECT e.product_id, greatest(0, 1 - (e.embedding <=> %(v)s::vector)), p.category, "
            f"e.updated_at FROM products p JOIN product_text_embeddings e USING (product_id) {clause} "
            "AND e.model_key = {key} ORDER BY e.embedding <=> %(v)s::vector, e.product_id LIMIT %(k)s"
        ).format(**self._literals())

    def _found(self, cursor: Cursor, query: sql.Composed, values: Mapping[str, Any]) -> list[FoundProduct]:
        # A prepared statement would get a generic plan, which no partial index fits.
        return [FoundProduct(*row) for row in cursor.execute(query, values, prepare=False)]


def _other(cursor: Cursor) -> Cursor:
    """Another cursor of the transaction: whose rows nobody wants, nobody waits for."""
    return cursor.connection.cursor()


def _few(cursor: Cursor, clause: str, values: Mapping[str, Any]) -> bool:
    """Whether the planner expects few products to match."""
    query = sql.SQL(f"EXPLAIN (FORMAT JSON) SELECT FROM products p {clause}")
    row = cursor.execute(query, values, prepare=False).fetchone()
    assert row is not None
    return bool(row[0][0]["Plan"]["Plan Rows"] < _FEW)


def _text(vector: NDArray[np.float32]) -> str:
    return "[" + ",".join(map(repr, vector.tolist())) + "]"
