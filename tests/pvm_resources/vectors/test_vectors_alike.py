"""What every store of product vectors does alike."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest

from pvm_core.errors import InputError, ModelError
from pvm_resources.media.store import MediaStore
from pvm_resources.store.assembly import Store
from pvm_resources.store.product_queries import ProductFilter
from pvm_resources.vectors.base import ProductEmbedding, VectorStore
from tests.pvm_resources.vectors.shop import DIM, Opened, Shop, metadata, stocked, unit

FILTERS: dict[str, tuple[ProductFilter, Callable[[int], bool]]] = {
    "none": (ProductFilter(), lambda n: True),
    "category": (ProductFilter(category="pillows"), lambda n: n % 3 == 0),
    "price": (ProductFilter(price_min=Decimal(10), price_max=Decimal("20.0")), lambda n: 10 <= n <= 20),
    "source": (ProductFilter(sources=("ebay", "file")), lambda n: True),
    "another source": (ProductFilter(sources=("ebay",)), lambda n: False),
    "availability": (ProductFilter(availability=("in_stock", "preorder")), lambda n: n % 2 == 0),
    "industry": (ProductFilter(industry="shop-a"), lambda n: n % 4 == 0),
    "brand": (ProductFilter(brand="BRAND 2"), lambda n: n % 5 == 2),
    "currency": (ProductFilter(currency="usd"), lambda n: True),
    "many": (
        ProductFilter(category="Lamps", availability=("in_stock",), price_max=Decimal(40)),
        lambda n: n % 3 == 1 and n % 2 == 0 and n <= 40,
    ),
}  # fmt: skip


@pytest.fixture
def shop(repos: Store, media: MediaStore, vectors: VectorStore) -> Shop:
    """Sixty products, stored with their vectors."""
    found = stocked(repos, media, 60)
    assert vectors.store_product_embeddings(found.given) == 60
    return found


def test_reads_its_own_writes(vectors: VectorStore, repos: Store, media: MediaStore) -> None:
    shop = stocked(repos, media, 2)
    first, second = shop.given
    assert vectors.get_product_embedding(first.product_id) is None
    assert vectors.store_product_embedding(first.product_id, first.embedding, first.metadata)
    assert np.allclose(vectors.get_product_embedding(first.product_id), first.embedding, atol=1e-3)
    assert [one.product_id for one in vectors.find_similar_products(first.embedding)] == [first.product_id]
    assert vectors.store_product_embedding(first.product_id, second.embedding, first.metadata)
    assert np.allclose(vectors.get_product_embedding(first.product_id), second.embedding, atol=1e-3)
    (found,) = vectors.find_similar_products(second.embedding)
    assert (found.product_id, found.category) == (first.product_id, "Pillows")
    assert vectors.count() == 1


def test_a_score_is_the_cosine_and_never_negative(vectors: VectorStore, shop: Shop) -> None:
    query = unit(np.random.default_rng(5))
    found = vectors.find_similar_products(query, limit=60, min_score=0.0)
    scores = {shop.ids[n]: max(0.0, float(cosine)) for n, cosine in enumerate(shop.vectors @ query)}
    assert {one.product_id for one in found} == set(shop.ids)
    for one in found:
        assert one.similarity_score == pytest.approx(scores[one.product_id], abs=2e-3)
    listed = [one.similarity_score for one in found]
    assert listed == sorted(listed, reverse=True)
    (same,) = vectors.find_similar_products(shop.vectors[7], limit=1)
    assert (same.product_id, same.similarity_score) == (shop.ids[7], pytest.approx(1.0, abs=1e-3))


@pytest.mark.parametrize("name", FILTERS)
def test_filters_leave_as_many_as_match(vectors: VectorStore, shop: Shop, name: str) -> None:
    wanted, matches = FILTERS[name]
    keep = [n for n in range(60) if matches(n)]
    query = shop.vectors[11]
    for limit in (1, 5, 60):
        found = vectors.find_similar_products(query, limit, 0.0, wanted)
        assert len(found) == min(limit, len(keep))
        assert {one.product_id for one in found} <= {shop.ids[n] for n in keep}
    found = vectors.find_similar_products(query, 8, 0.5, wanted)
    assert [one.product_id for one in found] == shop.exact(query, keep, 0.5, 8)


def test_a_delete_is_seen_at_once(vectors: VectorStore, shop: Shop) -> None:
    gone = shop.given[3]
    assert vectors.delete_product_embedding(gone.product_id)
    assert not vectors.delete_product_embedding(gone.product_id)
    assert vectors.get_product_embedding(gone.product_id) is None
    left = vectors.find_similar_products(gone.embedding, 60, 0.0)
    assert len(left) == 59 == vectors.count()
    assert gone.product_id not in {one.product_id for one in left}
    assert vectors.store_product_embedding(gone.product_id, gone.embedding, gone.metadata)
    assert vectors.find_similar_products(gone.embedding, 1)[0].product_id == gone.product_id


def test_models_stand_side_by_side(opened: Opened, vectors: VectorStore, shop: Shop) -> None:
    other = opened("model-b")
    assert other.count() == 0
    assert other.find_similar_products(shop.vectors[0], 5, 0.0) == []
    turned = [ProductEmbedding(one.product_id, -one.embedding, one.metadata) for one in shop.given]
    assert other.store_product_embeddings(turned[:30]) == 30
    assert (vectors.count(), other.count()) == (60, 30)
    assert vectors.find_similar_products(shop.vectors[0], 1)[0].product_id == shop.ids[0]
    assert other.find_similar_products(-shop.vectors[0], 1)[0].product_id == shop.ids[0]
    assert other.delete_product_embedding(shop.ids[0])
    assert vectors.get_product_embedding(shop.ids[0]) is None, "a deleted product leaves nothing behind"
    other.close()


def test_the_least_score_is_the_setting_s(vectors: VectorStore, shop: Shop) -> None:
    found = vectors.find_similar_products(shop.vectors[0], 60)
    assert found
    assert [one.product_id for one in found] == shop.exact(shop.vectors[0], list(range(60)), 0.75, 60)


def test_what_is_no_vector_of_the_store_is_refused(vectors: VectorStore, shop: Shop) -> None:
    for wrong, code in ((np.ones(3, np.float32), "model.dimension"), (np.ones(DIM), "vectors.length")):
        with pytest.raises((ModelError, InputError)) as caught:
            vectors.store_product_embedding(shop.ids[0], wrong, metadata(0))
        assert caught.value.code == code
    with pytest.raises(InputError):
        vectors.find_similar_products(np.full(DIM, np.nan, np.float32))
    assert vectors.get_product_embedding(uuid.uuid4()) is None
    assert not vectors.delete_product_embedding(uuid.uuid4())
    assert vectors.store_product_embeddings([]) == 0
