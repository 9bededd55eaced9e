"""Products of all jobs, filtered and in pages."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from pvm_core.errors import InputError
from pvm_resources.store.base import Repository
from pvm_resources.store.match_record import where
from pvm_resources.store.records import Neighbour

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: What is read of a product p. One that never changed is as new as its row.
COLUMNS: Final = """p.product_id, p.src AS source, p.asin_or_itemid AS product, p.title, p.description,
       p.category, p.brand, p.price, p.currency, p.availability, p.url, p.attributes,
       coalesce(p.updated_at, p.created_at) AS updated_at, p.created_at"""


@dataclass(frozen=True)
class ProductRow:
    """A product. `product` is the id as its source gave it; `price` a plain decimal, "" where unknown."""

    product_id: uuid.UUID
    source: str
    product: str
    title: str
    description: str
    category: str
    brand: str
    price: str
    currency: str
    availability: str
    url: str
    attributes: Mapping[str, str]
    updated_at: datetime
    created_at: datetime
    image_id: uuid.UUID | None = None


@dataclass(frozen=True)
class ProductFilter:
    """Which products are wanted; what is left out does not matter.

    Attributes:
        industry: the slug of one that has it in a job, or in whose name it was given.
        category, brand: whole, in any case; text: part of its title, in any case.
        sources, availability: one of these.
        price_min, price_max: bounds, both included; a product without a price is in none.
        currency: ISO 4217.
        attributes: name -> value, whole.
    """

    industry: str | None = None
    category: str | None = None
    brand: str | None = None
    text: str | None = None
    sources: Sequence[str] = ()
    availability: Sequence[str] = ()
    price_min: Decimal | None = None
    price_max: Decimal | None = None
    currency: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


def conditions(wanted: ProductFilter) -> list[tuple[bool, str, dict[str, Any]]]:
    """Conditions on a product p, for `match_record.where`."""
    # The cast stands behind the test for a price, which AND alone would not promise.
    amount = "CASE WHEN p.price <> '' THEN p.price::numeric END"
    return [
        (True, "p.purged_at IS NULL", {}),
        (
            wanted.industry is not None,
            "(p.namespace = %(industry)s OR EXISTS (SELECT 1 FROM job_products g JOIN jobs j USING (job_id) "
            "WHERE g.product_id = p.product_id AND j.industry = %(industry)s))",
            {"industry": wanted.industry},
        ),
        (
            wanted.category is not None,
            "lower(p.category) = lower(%(category)s)",
            {"category": wanted.category},
        ),
        (
            wanted.brand is not None,
            "lower(p.brand) = lower(%(brand)s)",
            {"brand": wanted.brand},
        ),
        (
            wanted.text is not None,
            "strpos(lower(p.title), lower(%(text)s)) > 0",
            {"text": wanted.text},
        ),
        (bool(wanted.sources), "p.src = ANY(%(sources)s)", {"sources": list(wanted.sources)}),
        (
            bool(wanted.availability),
            "p.availability = ANY(%(availability)s)",
            {"availability": list(wanted.availability)},
        ),
        (wanted.price_min is not None, f"{amount} >= %(price_min)s", {"price_min": wanted.price_min}),
        (wanted.price_max is not None, f"{amount} <= %(price_max)s", {"price_max": wanted.price_max}),
        (wanted.currency is not None, "p.currency = upper(%(currency)s)", {"currency": wanted.currency}),
        (
            bool(wanted.attributes),
            "p.attributes @> %(attributes)s::jsonb",
            {"attributes": _json(wanted.attributes)},
        ),
    ]


class ProductQueries(Repository):
    """Reads of table `products`; writes nothing."""

    def page(
        self, wanted: ProductFilter, limit: int, after: tuple[datetime, uuid.UUID] | None = None
    ) -> list[ProductRow]:
        """Products, newest first, each with its first picture.

        Args:
            after: `created_at` and id of the last product of the page before.
        """
        at, last = after or (None, None)
        clause, values = where(
            [
                *conditions(wanted),
                (
                    after is not None,
                    "(p.created_at, p.product_id) < (%(at)s, %(last)s)",
                    {"at": at, "last": last},
                ),
            ]
        )
        return self._db.all(
            ProductRow,
            f"SELECT {COLUMNS}, i.img_id AS image_id FROM (SELECT p.* FROM products p {clause} "
            "ORDER BY p.created_at DESC, p.product_id DESC LIMIT %(limit)s) p "
            "LEFT JOIN LATERAL (SELECT img_id FROM stored_images s WHERE s.product_id = p.product_id "
            "ORDER BY s.created_at, s.img_id LIMIT 1) i ON true "
            "ORDER BY p.created_at DESC, p.product_id DESC",
            {**values, "limit": limit},
        )

    def of(self, product_ids: Sequence[uuid.UUID]) -> list[ProductRow]:
        """These products, in no order."""
        query = f"SELECT {COLUMNS} FROM products p WHERE p.product_id = ANY(%s)"
        return self._db.all(ProductRow, query, [list(product_ids)])

    def get(self, product_id: uuid.UUID) -> ProductRow:
        """One product.

        Raises:
            InputError: ``product.unknown``.
        """
        found = self.of([product_id])
        if not found:
            raise unknown_product(product_id)
        return found[0]

    def matching(self, product_ids: Sequence[uuid.UUID], wanted: ProductFilter) -> list[ProductRow]:
        """Those of the products that are wanted, in no order."""
        clause, values = where(
            [*conditions(wanted), (True, "p.product_id = ANY(%(ids)s)", {"ids": list(product_ids)})]
        )
        return self._db.all(ProductRow, f"SELECT {COLUMNS} FROM products p {clause}", values)

    def vectors(
        self, product_id: uuid.UUID, model_key: str, limit: int
    ) -> dict[uuid.UUID, NDArray[np.float32]]:
        """The vectors (float32 (dim,), unit length) of a product's pictures as a whole, oldest first."""
        import numpy as np

        rows = self._db.tuples(
            "SELECT i.img_id, e.emb_rgb::text FROM stored_images i JOIN embeddings e ON e.item_id = i.img_id "
            "WHERE i.product_id = %s AND e.model_key = %s AND e.view = 0 "
            "ORDER BY i.created_at, i.img_id LIMIT %s",
            [product_id, model_key, limit],
        )
        return {row[0]: np.array(row[1].strip("[]").split(","), np.float32) for row in rows}

    def first_pictures(self, product_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
        """The first stored picture of each product that has one."""
        query = (
            "SELECT DISTINCT ON (product_id) product_id, img_id FROM stored_images "
            "WHERE product_id = ANY(%s) ORDER BY product_id, created_at, img_id"
        )
        return dict(self._db.tuples(query, [list(product_ids)]))

    def looks(self, product_ids: Sequence[uuid.UUID], model_key: str) -> dict[uuid.UUID, NDArray[np.float32]]:
        """The vectors of these products' pictures as a whole: float32 (pictures, dim), unit rows."""
        import numpy as np

        rows = self._db.tuples(
            "SELECT i.product_id, e.emb_rgb::text FROM stored_images i JOIN embeddings e "
            "ON e.item_id = i.img_id WHERE i.product_id = ANY(%s) AND e.model_key = %s AND e.view = 0",
            [list(product_ids), model_key],
        )
        found: dict[uuid.UUID, list[NDArray[np.float32]]] = {}
        for product, text in rows:
            found.setdefault(product, []).append(np.array(text.strip("[]").split(","), np.float32))
        return {product: np.stack(vectors) for product, vectors in found.items()}

    def nearest(
        self, model_key: str, vector: NDArray[np.float32], wanted: ProductFilter, min_score: float, limit: int
    ) -> list[Neighbour]:
        """The pictures of wanted products that are most like a vector, each of them compared, best first.

        Args:
            vector: float32 (dim,), unit length.
            min_score: least cosine.
        """
        clause, values = where([*conditions(wanted), (True, "e.model_key = %(model)s", {"model": model_key})])
        text = "[" + ",".join(map(repr, vector.tolist())) + "]"
        return self._db.all(
            Neighbour,
            "SELECT i.img_id, p.product_id, max(1 - (e.emb_rgb <=> %(vector)s::vector)) AS similarity "
            "FROM products p JOIN stored_images i USING (product_id) "
            "JOIN embeddings e ON e.item_id = i.img_id "
            f"{clause} GROUP BY i.img_id, p.product_id "
            "HAVING max(1 - (e.emb_rgb <=> %(vector)s::vector)) >= %(least)s "
            "ORDER BY similarity DESC, i.img_id LIMIT %(limit)s",
            {**values, "vector": text, "least": min_score, "limit": limit},
        )

    def embedded_at(self, img_ids: Sequence[uuid.UUID], model_key: str) -> dict[uuid.UUID, datetime]:
        """When the vectors of these pictures were stored."""
        query = (
            "SELECT item_id, max(created_at) FROM embeddings WHERE item_id = ANY(%s) AND model_key = %s "
            "GROUP BY item_id"
        )
        return {row[0]: row[1] for row in self._db.tuples(query, [list(img_ids), model_key])}

    def industries_of(self, product_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[str, ...]]:
        """Slugs of the industries that have each of these products, in a job or by their catalogue's name."""
        rows = self._db.tuples(
            "SELECT product_id, array_agg(DISTINCT industry) FROM ("
            "SELECT p.product_id, i.slug AS industry FROM products p "
            "JOIN industries i ON i.slug = p.namespace "
            "WHERE p.product_id = ANY(%(ids)s) UNION ALL SELECT g.product_id, j.industry FROM job_products g "
            "JOIN jobs j USING (job_id) WHERE g.product_id = ANY(%(ids)s)) n GROUP BY product_id",
            {"ids": list(product_ids)},
        )
        return {row[0]: tuple(row[1]) for row in rows}

    def named(self, name: str) -> list[uuid.UUID]:
        """The products that have this id, or whose source gave it; a few where several sources did."""
        query = (
            "SELECT product_id FROM products WHERE product_id::text = %(name)s OR asin_or_itemid = %(name)s "
            "ORDER BY (product_id::text = %(name)s) DESC, created_at DESC LIMIT 5"
        )
        return [row[0] for row in self._db.tuples(query, {"name": name})]


def unknown_product(product_id: object) -> InputError:
    """The error ``product.unknown``."""
    return InputError("product.unknown", str(product_id), "no such product", "Take an id from the results")


def _json(value: Mapping[str, str]) -> Any:
    from pvm_resources.store.base import json

    return json(dict(value))
