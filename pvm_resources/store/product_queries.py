"""Products of all jobs, filtered and in pages."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from pvm_core.errors import InputError
from pvm_resources.store.base import Repository
from pvm_resources.store.match_record import where

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
        (wanted.brand is not None, "lower(p.brand) = lower(%(brand)s)", {"brand": wanted.brand}),
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
