"""How fast and how well similar products are found by the vectors of their texts, with and without filters.

    python bench/bench_vectors.py [--products 100000] [--queries 200]

On an embedded PostgreSQL of its own: products with vectors of 384 numbers in groups of eight that are alike.
Recall: the share of the `--wanted` most alike products, found by comparing all in numpy, that the search
finds. A filtered search has to return as many as match, at most those wanted. Last the same vectors in bare
tables, in whole and in half precision, asked without the comparison that follows the index in the store.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pvm_resources.postgres import migrate
from pvm_resources.postgres.driver import Copy, Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.store.product_queries import ProductFilter
from pvm_resources.vectors.base import DIMENSION, ProductEmbedding
from pvm_resources.vectors.pgvector import PgVectorStore

#: Name, filter, and which products it leaves: all, a tenth, a tenth of a half, one in a thousand.
#: A product's facts come from a number of its own, of no relation to its vector.
FILTERS: tuple[tuple[str, ProductFilter | None, Callable[[NDArray[np.int64]], NDArray[np.bool_]]], ...] = (
    ("no filter", None, lambda n: n >= 0),
    ("category (1 in 10)", ProductFilter(category="C3"), lambda n: n % 10 == 3),
    (
        "price and stock (1 in 20)",
        ProductFilter(price_max=Decimal(10), availability=("in_stock",)),
        lambda n: (n // 10 % 100 + 1 <= 10) & (n % 2 == 0),
    ),
    ("brand (1 in 1,000)", ProductFilter(brand="B7"), lambda n: n // 7 % 1_000 == 7),
)
_PRODUCTS = {
    "product_id": "uuid", "src": "text", "namespace": "text", "asin_or_itemid": "text", "title": "text",
    "category": "text", "brand": "text", "price": "text", "currency": "text", "availability": "text",
}  # fmt: skip


def made(count: int, seed: int = 1) -> NDArray[np.float32]:
    """Vectors of unit length, float32 (count, 384): 200 themes, in each groups of eight that are alike
    (cosine about 0.9; 0.6 within a theme)."""
    rng = np.random.default_rng(seed)
    themes, groups = rng.normal(size=(200, DIMENSION)), rng.normal(size=(count // 8 + 1, DIMENSION))
    group = np.arange(count) // 8
    found = themes[group % 200] + 0.7 * groups[group] + 0.4 * rng.normal(size=(count, DIMENSION))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def drawn(count: int) -> NDArray[np.int64]:
    """The numbers of the products' facts."""
    return np.random.default_rng(3).integers(0, 1_000_000, count)


def filled(database: Database, vectors: NDArray[np.float32], store: PgVectorStore) -> list[uuid.UUID]:
    """Products and their vectors; the last five hundred go into the index that is there."""
    count, ids = len(vectors), [uuid.UUID(int=n + 1) for n in range(len(vectors))]
    facts = drawn(count).tolist()
    rows = [
        (ids[n], "file", "bench", str(n), f"Product {n}", f"C{f % 10}", f"B{f // 7 % 1_000}",
         str(f // 10 % 100 + 1), "USD", ("in_stock", "out_of_stock")[f % 2])
        for n, f in enumerate(facts)
    ]  # fmt: skip
    database.commit(Copy("products", _PRODUCTS, rows, ["product_id"]))
    given = [ProductEmbedding(one, vector) for one, vector in zip(ids, vectors, strict=True)]
    first, began = len(given) - 500, time.perf_counter()
    with store.loading():
        for start in range(0, first, 1_000):
            store.store_product_embeddings(given[start : min(start + 1_000, first)])
        stored = time.perf_counter() - began
    took = time.perf_counter() - began - stored
    print(f"a new model: {first / stored:,.0f} vectors a second, then the index in {took:.0f} s")
    began = time.perf_counter()
    for start in range(first, len(given), 10):
        store.store_product_embeddings(given[start : start + 10])
    print(f"into the index, ten at a time: {500 / (time.perf_counter() - began):,.0f} vectors a second")
    with database.transaction() as cursor:
        cursor.execute("ANALYZE products; ANALYZE product_text_embeddings")
    return ids


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--wanted", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder) / "home", durable=False)
        server.up()
        try:
            migrate.upgrade(server.uri("pvm"))
            with Database(server.uri("pvm")) as database:
                _measure(database, given.products, given.queries, given.wanted)
        finally:
            server.down()


def _measure(database: Database, count: int, queries: int, wanted: int) -> None:
    store, vectors = PgVectorStore(database, "bench"), made(count)
    began = time.perf_counter()
    ids = filled(database, vectors, store)
    print(f"filled in {time.perf_counter() - began:.0f} s")
    sizes = "pg_table_size('product_text_embeddings'), pg_indexes_size('product_text_embeddings')"
    table, index = database.tuples(f"SELECT {sizes}")[0]
    print(f"bytes a product: {table / count:,.0f} in the table, {index / count:,.0f} in its indexes")
    print("load", ", ".join(f"{one:.1f}" for one in os.getloadavg()))
    rng = np.random.default_rng(2)
    asked = rng.integers(0, count, queries)
    place = {one: n for n, one in enumerate(ids)}
    for name, facts, keeps in FILTERS:
        kept = np.flatnonzero(keeps(drawn(count)))
        # Compared first: numpy's threads would take the cores from what is timed.
        best = [kept[np.argsort(-(vectors[kept] @ vectors[n]), kind="stable")[:wanted]] for n in asked]
        taken, found, short = [], 0, 0
        for n, exact in zip(asked, best, strict=True):
            began = time.perf_counter()
            listed = store.find_similar_products(vectors[n], wanted, -1.0, facts)
            taken.append(1_000 * (time.perf_counter() - began))
            found += len({place[one.product_id] for one in listed} & set(exact.tolist()))
            short += len(listed) < len(exact)
        recall = found / sum(map(len, best))
        print(f"{name}: {_times(taken)}, recall@{wanted} {recall:.3f}, too few rows {short} times")
    exact_all = [np.argsort(-(vectors @ vectors[n]), kind="stable")[:wanted].tolist() for n in asked]
    for kind in ("vector", "halfvec"):
        _bare(database, kind, vectors[asked], exact_all, place)


def _times(taken: list[float]) -> str:
    return f"p50 {np.median(taken):.1f} ms, p99 {np.percentile(taken, 99):.1f} ms"


def _bare(
    database: Database,
    kind: str,
    asked: NDArray[np.float32],
    best: list[list[int]],
    place: dict[uuid.UUID, int],
) -> None:
    table, wanted = f"bench_{kind}", len(best[0])
    with database.transaction() as cursor:
        cursor.execute(
            f"CREATE TABLE {table} AS SELECT product_id, embedding::{kind}({DIMENSION}) AS embedding "
            "FROM product_text_embeddings"
        )
        began = time.perf_counter()
        cursor.execute(
            f"CREATE INDEX ON {table} USING hnsw (embedding {kind}_cosine_ops) "
            "WITH (m = 16, ef_construction = 64)"
        )
        built = time.perf_counter() - began
        cursor.execute("SELECT pg_table_size(%s), pg_indexes_size(%s)", [table, table])
        sizes = cursor.fetchone() or (0, 0)
        cursor.execute("SET LOCAL hnsw.ef_search = 320; SET LOCAL enable_seqscan = off")
        taken, found = [], 0
        for vector, exact in zip(asked, best, strict=True):
            text = str(vector.tolist())
            began = time.perf_counter()
            cursor.execute(
                f"SELECT product_id FROM {table} ORDER BY embedding <=> %s::{kind} LIMIT %s", [text, wanted]
            )
            listed = cursor.fetchall()
            taken.append(1_000 * (time.perf_counter() - began))
            found += len({place[one] for (one,) in listed} & set(exact))
    print(
        f"bare {kind}: index in {built:.0f} s, {sizes[0] / len(place):,.0f} and {sizes[1] / len(place):,.0f} "
        f"bytes, {_times(taken)}, recall@{wanted} {found / (wanted * len(best)):.3f}"
    )


if __name__ == "__main__":
    main()
