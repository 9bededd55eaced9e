"""The default store: vectors follow their products; the index finds what comparing all finds."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from pvm_resources.living_catalogue import LivingCatalogue
from pvm_resources.media.store import MediaStore
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.product_queries import ProductFilter
from pvm_resources.vectors.factory import get_vector_store
from pvm_resources.vectors.pgvector import PgVectorStore
from tests.pvm_resources.vectors.shop import metadata, stocked, unit


def test_the_settings_choose_it(repos: Store, media: MediaStore) -> None:
    settings = Settings(VECTOR_DIMENSION=384, SIMILARITY_THRESHOLD=0.99)  # type: ignore[call-arg]
    found = get_vector_store(settings, repos.database, "m")
    assert isinstance(found, PgVectorStore)
    shop = stocked(repos, media, 16)
    found.store_product_embeddings(shop.given)
    (alone,) = found.find_similar_products(shop.vectors[0])
    assert alone.product_id == shop.ids[0]
    assert get_vector_store(settings, repos.database, "m") is not found


def test_a_deleted_product_takes_its_vectors_along(repos: Store, media: MediaStore) -> None:
    vectors, shop = PgVectorStore(repos.database, "m"), stocked(repos, media, 8)
    vectors.store_product_embeddings(shop.given)
    LivingCatalogue(repos, media).take([{"event_type": "delete", "product_id": "p1", "version": 2}])
    assert vectors.get_product_embedding(shop.ids[1]) is None
    assert len(vectors.find_similar_products(shop.vectors[1], 8, 0.0)) == 7
    assert not vectors.store_product_embedding(shop.ids[1], shop.vectors[1]), "it would have no product"


def test_a_vector_of_other_words_is_not_stored(repos: Store, media: MediaStore) -> None:
    vectors, shop = PgVectorStore(repos.database, "m"), stocked(repos, media, 8)
    query = "SELECT text_version FROM products WHERE product_id = %s"
    before = repos.database.value(query, [shop.ids[1]])
    change = {"event_type": "update", "product_id": "p1", "version": 2, "data": {"price": "9.99"}}
    LivingCatalogue(repos, media).take([change])
    assert repos.database.value(query, [shop.ids[1]]) == before, "a price is no word of its text"
    change = {"event_type": "update", "product_id": "p1", "version": 3, "data": {"name": "Another"}}
    LivingCatalogue(repos, media).take([change])
    after = repos.database.value(query, [shop.ids[1]])
    assert after != before
    old, new = (type(metadata(1))(text_version=version) for version in (before, after))
    assert not vectors.store_product_embedding(shop.ids[1], shop.vectors[1], old)
    assert vectors.store_product_embedding(shop.ids[1], shop.vectors[1], new)


def test_filters_are_those_of_the_product_now(repos: Store, media: MediaStore) -> None:
    vectors, shop = PgVectorStore(repos.database, "m"), stocked(repos, media, 8)
    vectors.store_product_embeddings(shop.given)
    change = {"event_type": "update", "product_id": "p1", "version": 2, "data": {"price": "777"}}
    LivingCatalogue(repos, media).take([change])
    (found,) = vectors.find_similar_products(shop.vectors[0], 8, 0.0, ProductFilter(price_min=Decimal(700)))
    assert found.product_id == shop.ids[1]


def test_the_index_finds_what_comparing_all_finds(repos: Store, media: MediaStore) -> None:
    vectors, shop = PgVectorStore(repos.database, "m"), stocked(repos, media, 1_500)
    with vectors.loading():
        vectors.store_product_embeddings(shop.given)
    assert vectors.store_product_embedding(shop.ids[0], shop.vectors[0])
    with repos.database.transaction() as cursor:
        cursor.execute("ANALYZE products; ANALYZE product_text_embeddings")
    rng = np.random.default_rng(3)
    found = wanted = 0
    for query in unit(rng, 20):
        for filters, keep in (
            (None, range(1_500)),
            (ProductFilter(category="Desks"), range(2, 1_500, 3)),
            (ProductFilter(price_max=Decimal(1_000)), range(1_001)),
        ):
            best = shop.exact(query, list(keep), 0.0, 10)
            listed = vectors.find_similar_products(query, 10, 0.0, filters)
            assert len(listed) == 10
            found += len({one.product_id for one in listed} & set(best))
            wanted += 10
    assert found / wanted >= 0.95


def test_a_model_is_dropped_whole(repos: Store, media: MediaStore) -> None:
    first, second = (PgVectorStore(repos.database, key) for key in ("m", "n"))
    shop = stocked(repos, media, 8)
    first.store_product_embeddings(shop.given)
    second.store_product_embeddings(shop.given)
    first.drop()
    assert (first.count(), second.count()) == (0, 8)
    names = "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'product:vectors:%%'"
    assert repos.database.value(names) == 1
