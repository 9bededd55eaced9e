"""Models of products' words, and which products still lack a vector of one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pvm_resources.store.base import Repository

#: Slug that stands for products of no industry; no industry's slug holds an underscore.
UNASSIGNED: Final = "_unassigned"
#: Products p that have words at all: the others have no vector.
_WORDS: Final = "p.purged_at IS NULL AND concat(p.title, p.description, p.category) ~ '\\S'"
_OF: Final = {
    None: "true",
    UNASSIGNED: "(NOT EXISTS (SELECT 1 FROM industries i WHERE i.slug = p.namespace) "
    "AND NOT EXISTS (SELECT 1 FROM job_products g WHERE g.product_id = p.product_id))",
}
_OF_INDUSTRY: Final = (
    "(p.namespace = %(industry)s OR EXISTS (SELECT 1 FROM job_products g JOIN jobs j USING (job_id) "
    "WHERE g.product_id = p.product_id AND j.industry = %(industry)s))"
)


@dataclass(frozen=True)
class TextModelRow:
    """A stored model; `data` is its file."""

    model_key: str
    products: int
    active: bool


@dataclass(frozen=True)
class ProductWords:
    """What a product says of itself, and `products.text_version` of it."""

    product_id: uuid.UUID
    title: str
    description: str
    category: str
    text_version: str


@dataclass(frozen=True)
class IndexState:
    """How complete the vectors of a model are: products that have words, and of them those without a vector,
    and with one of other words."""

    products: int
    missing: int
    stale: int


class TextVectors(Repository):
    """Tables `text_models` and `product_text_embeddings` as a whole; of single vectors: `vectors`."""

    def models(self) -> list[TextModelRow]:
        """All models, the one that serves first, then the newest."""
        query = (
            "SELECT model_key, products, active FROM text_models "
            "ORDER BY active DESC, fitted_at DESC, model_key"
        )
        return self._db.all(TextModelRow, query)

    def data(self, model_key: str) -> bytes:
        """The file of a model; b"" where there is none."""
        return bytes(self._db.value("SELECT data FROM text_models WHERE model_key = %s", [model_key]) or b"")

    def add(self, model_key: str, products: int, data: bytes) -> None:
        """Stores a model, which serves at once where none does. One that is there is kept."""
        self._execute(
            "INSERT INTO text_models (model_key, products, data, active) "
            "VALUES (%s, %s, %s, NOT EXISTS (SELECT 1 FROM text_models WHERE active)) "
            "ON CONFLICT (model_key) DO UPDATE SET products = excluded.products",
            model_key, products, data,
        )  # fmt: skip

    def activate(self, model_key: str) -> list[str]:
        """The model serves from now on; the keys of all others, which are no longer stored."""
        with self._db.transaction() as cursor:
            gone = cursor.execute(
                "DELETE FROM text_models WHERE model_key <> %s RETURNING model_key", [model_key]
            ).fetchall()
            cursor.execute("UPDATE text_models SET active = true WHERE model_key = %s", [model_key])
        return [row[0] for row in gone]

    def texts(self, most: int) -> list[ProductWords]:
        """Words of so many products, drawn evenly by their ids, the same each time."""
        query = (
            f"SELECT product_id, title, description, category, text_version FROM products p WHERE {_WORDS} "
            "ORDER BY product_id LIMIT %s"
        )
        return self._db.all(ProductWords, query, [most])

    def count(self) -> int:
        """Products that have words."""
        return int(self._db.value(f"SELECT count(*) FROM products p WHERE {_WORDS}"))

    def lacking(
        self,
        model_key: str,
        industry: str | None,
        most: int,
        after: uuid.UUID,
        only: Sequence[uuid.UUID] | None = None,
    ) -> list[ProductWords]:
        """Products without a vector of their words as they are now, by id.

        Args:
            industry: a slug, or `UNASSIGNED`; None for all products.
            after: ids up to this one were given before.
            only: of these products; None: of any.
        """
        chosen = "true" if only is None else "p.product_id = ANY(%(only)s)"
        return self._db.all(
            ProductWords,
            "SELECT p.product_id, p.title, p.description, p.category, p.text_version FROM products p "
            "LEFT JOIN product_text_embeddings e ON e.product_id = p.product_id AND e.model_key = %(key)s "
            f"WHERE {_WORDS} AND e.text_version IS DISTINCT FROM p.text_version "
            f"AND {_of(industry)} AND p.product_id > %(after)s "
            f"AND {chosen} ORDER BY p.product_id LIMIT %(most)s",
            {
                "key": model_key,
                "industry": industry,
                "most": most,
                "after": after,
                "only": None if only is None else list(only),
            },
        )

    def state(self, model_key: str, industry: str | None = None) -> IndexState:
        """How complete a model's vectors are, of an industry or of all."""
        query = (
            "SELECT count(*), count(*) FILTER (WHERE e.product_id IS NULL), "
            "count(*) FILTER (WHERE e.text_version <> p.text_version) FROM products p "
            "LEFT JOIN product_text_embeddings e ON e.product_id = p.product_id AND e.model_key = %(key)s "
            f"WHERE {_WORDS} AND {_of(industry)}"
        )
        return IndexState(*self._db.tuples(query, {"key": model_key, "industry": industry})[0])

    def waiting(self, model_keys: Sequence[str]) -> dict[str, tuple[int, str]]:
        """Industry (or `UNASSIGNED`) -> vectors that it lacks under these models, and what tells this state
        from another."""
        query = (
            f"WITH lacking AS (SELECT p.product_id, p.namespace, p.text_version, m.key FROM products p "
            "CROSS JOIN unnest(%(keys)s::text[]) m (key) LEFT JOIN product_text_embeddings e "
            "ON e.product_id = p.product_id AND e.model_key = m.key "
            f"WHERE {_WORDS} AND e.text_version IS DISTINCT FROM p.text_version), "
            "named AS (SELECT l.*, coalesce(i.slug, j.industry, %(none)s) AS industry FROM lacking l "
            "LEFT JOIN industries i ON i.slug = l.namespace LEFT JOIN LATERAL (SELECT j.industry "
            "FROM job_products g JOIN jobs j USING (job_id) WHERE g.product_id = l.product_id "
            "ORDER BY j.created_at DESC LIMIT 1) j ON true) "
            "SELECT industry, count(*), md5(string_agg(product_id::text || text_version || key, '' "
            "ORDER BY product_id, key)) FROM named GROUP BY industry ORDER BY industry"
        )
        rows = self._db.tuples(query, {"keys": list(model_keys), "none": UNASSIGNED})
        return {row[0]: (int(row[1]), str(row[2])) for row in rows}

    def sample(self, model_key: str, industry: str, most: int) -> list[uuid.UUID]:
        """Some products of an industry that have a vector, the same each time."""
        query = (
            "SELECT p.product_id FROM products p JOIN product_text_embeddings e USING (product_id) "
            f"WHERE e.model_key = %(key)s AND {_of(industry)} "
            "ORDER BY md5(p.product_id::text) LIMIT %(most)s"
        )
        found = self._db.tuples(query, {"key": model_key, "industry": industry, "most": most})
        return [row[0] for row in found]

    def nearest(self, model_key: str, product_id: uuid.UUID, most: int) -> list[uuid.UUID]:
        """The products most like one, each of them compared: what the index is measured against."""
        query = (
            "WITH q AS MATERIALIZED (SELECT embedding FROM product_text_embeddings "
            "WHERE product_id = %(id)s AND model_key = %(key)s), "
            "scored AS MATERIALIZED (SELECT e.product_id, e.embedding <=> q.embedding AS d "
            "FROM q, product_text_embeddings e "
            "JOIN products p USING (product_id) WHERE e.model_key = %(key)s AND p.purged_at IS NULL) "
            "SELECT product_id FROM scored ORDER BY d, product_id LIMIT %(most)s"
        )
        found = self._db.tuples(query, {"key": model_key, "id": product_id, "most": most})
        return [row[0] for row in found]

    def stored(self, model_key: str, product_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[str, Any]]:
        """Vectors of these products as pgvector writes them, and when they were stored."""
        query = (
            "SELECT product_id, embedding::text, updated_at FROM product_text_embeddings "
            "WHERE model_key = %s AND product_id = ANY(%s)"
        )
        return {row[0]: (row[1], row[2]) for row in self._db.tuples(query, [model_key, list(product_ids)])}


def _of(industry: str | None) -> str:
    return _OF.get(industry, _OF_INDUSTRY)
