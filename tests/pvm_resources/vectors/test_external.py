"""Stores beside PostgreSQL: what the settings choose, what they are asked for, what a fault becomes."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from pvm_core.errors import InputError, StoreError
from pvm_resources.living_catalogue import LivingCatalogue
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.product_queries import ProductFilter
from pvm_resources.text_index import TextIndex
from pvm_resources.vectors.factory import forgetting, get_vector_store
from pvm_resources.vectors.redis_search import RedisStore
from tests.pvm_resources.broker import free_port
from tests.pvm_resources.streams.servers import RedisServer
from tests.pvm_resources.vectors.shop import DIM, metadata, unit
from tests.standins.pinecone_index import PineconeIndex
from tests.standins.postgrest import PostgRest

VECTOR = unit(np.random.default_rng(0))


def _settings(kind: str, **more: Any) -> Settings:
    return Settings(VECTOR_STORE_TYPE=kind, **more)  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", ["redis", "qdrant", "pinecone", "supabase"])
def test_a_server_that_is_away_is_one_error_that_may_pass(kind: str, database: Database) -> None:
    port = free_port()
    settings = _settings(
        kind, REDIS_HOST="127.0.0.1", REDIS_PORT=port, QDRANT_URL=f"http://127.0.0.1:{port}",
        PINECONE_HOST=f"http://127.0.0.1:{port}", PINECONE_API_KEY="secret-key",
        SUPABASE_URL=f"http://127.0.0.1:{port}", SUPABASE_KEY="secret-key",
    )  # fmt: skip
    store = get_vector_store(settings, database, "m")
    for call in (store.count, lambda: store.find_similar_products(VECTOR)):
        with pytest.raises(StoreError) as caught:
            call()
        assert caught.value.code == "vectors.unreachable"
        assert caught.value.retryable
        assert "secret-key" not in str(caught.value)
    store.close()


@pytest.mark.parametrize(("kind", "variable"), [("pinecone", "PINECONE_HOST"), ("supabase", "SUPABASE_URL")])
def test_a_store_that_needs_an_address_says_so(kind: str, variable: str, database: Database) -> None:
    with pytest.raises(InputError, match=variable):
        get_vector_store(_settings(kind), database, "m")


def test_a_wrong_key_is_an_error_that_stays(database: Database) -> None:
    with PineconeIndex(DIM) as place:
        settings = _settings("pinecone", PINECONE_HOST=place.url, PINECONE_API_KEY="another")
        with pytest.raises(StoreError) as caught:
            get_vector_store(settings, database, "m").count()
    assert (caught.value.code, caught.value.retryable) == ("vectors.refused", False)
    with PostgRest(database.dsn, "pvm_vectors") as project:
        settings = _settings("supabase", SUPABASE_URL=project.url, SUPABASE_KEY=project.key)
        with pytest.raises(StoreError, match=r"supabase\.sql"):
            get_vector_store(settings, database, "m").count()


def test_redis_without_a_search_engine_says_so(database: Database, redis_server: RedisServer) -> None:
    settings = _settings("redis", REDIS_HOST="127.0.0.1", REDIS_PORT=redis_server.port)
    with pytest.raises(StoreError, match="no search engine"):
        get_vector_store(settings, database, "m").count()


def test_title_and_attributes_are_no_filter_of_theirs(database: Database) -> None:
    store = get_vector_store(_settings("qdrant"), database, "m")
    for wanted in (ProductFilter(text="lamp"), ProductFilter(attributes={"color": "blue"})):
        with pytest.raises(InputError) as caught:
            store.find_similar_products(VECTOR, filters=wanted)
        assert caught.value.code == "vectors.filter"


class _Heard:
    """Stands for Redis: remembers what it is told."""

    def __init__(self) -> None:
        self.commands: list[tuple[Any, ...]] = []
        self.kept: dict[str, dict[str, Any]] = {}

    def execute_command(self, *words: Any, **_: Any) -> Any:
        self.commands.append(words)
        return {"total_results": 0, "results": []} if words[0] == "FT.SEARCH" else "OK"

    def ft(self, index: str) -> Any:
        from redis.commands.search import Search

        return Search(self, index)  # type: ignore[arg-type]

    def pipeline(self, transaction: bool = False) -> _Heard:
        return self

    def __enter__(self) -> _Heard:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing."""

    def hset(self, key: str, mapping: dict[str, Any]) -> None:
        self.kept[key] = mapping

    def execute(self) -> None:
        """Nothing is left to do."""


def test_redis_is_told_what_the_founding_document_names() -> None:
    heard, product = _Heard(), uuid.uuid4()
    store = RedisStore(heard, "m")  # type: ignore[arg-type]
    assert store.store_product_embedding(product, VECTOR, metadata(4))
    (key,) = heard.kept
    assert key == f"product:embedding:{product}"
    kept = heard.kept[key]
    assert {"category", "name", "price", "updated_at"} <= kept.keys()
    (field,) = (name for name in kept if name.startswith("vector"))
    assert np.array_equal(np.frombuffer(kept[field], "<f4"), VECTOR)
    (create,) = heard.commands
    words = list(create)
    assert words[1].startswith("product:vectors")
    assert words[2:8] == ["ON", "HASH", "PREFIX", "1", "product:embedding:", "SCHEMA"]
    at = words.index("HNSW")
    attributes = words[at + 2 : at + 2 + int(words[at + 1])]
    assert dict(zip(attributes[::2], attributes[1::2], strict=True)) == {
        "TYPE": "FLOAT32", "DIM": "384", "DISTANCE_METRIC": "COSINE", "M": "16", "EF_CONSTRUCTION": "64",
    }  # fmt: skip
    wanted = ProductFilter(category="Bed & Bath", price_min=Decimal(5), sources=("file", "ebay"))
    assert store.find_similar_products(VECTOR, 3, filters=wanted) == []
    search = heard.commands[-1]
    assert search[2] == (
        "(@category_key:{bed\\ \\&\\ bath} @source_key:{file|ebay} @price:[5.0 +inf])"
        "=>[KNN 3 @vector $v EF_RUNTIME 100 AS distance]"
    )


def test_words_go_to_another_store_and_a_delete_takes_them_back(repos: Store, media: MediaStore) -> None:
    with PineconeIndex(DIM) as place:
        settings = _settings("pinecone", PINECONE_HOST=place.url, PINECONE_API_KEY=place.key)
        catalogue = LivingCatalogue(repos, media, forgetting(settings, repos.database))
        repos.industries.ensure("shop-a")
        names = ("Brass desk lamp", "Steel desk lamp", "Oak desk lamp", "Wool rug", "Desk lamp bulb")
        made = catalogue.take([
            {"event_type": "create", "product_id": f"p{n}", "version": 1, "industry": "shop-a",
             "data": {"name": name, "category": "Home", "price": str(n + 1), "currency": "USD"}}
            for n, name in enumerate(names)
        ])  # fmt: skip
        index = TextIndex(repos, settings)
        index.refit()
        index.embed(None)
        index.promote()
        serving = index.serving().model_key
        vectors = index.vectors(serving)
        assert vectors.count() == index.state(serving).products - index.state(serving).missing > 0
        assert index.embed(None) == 0, "what is there is not made again"
        (one, *_), wanted = made, ProductFilter(industry="shop-a", price_max=Decimal(3))
        vector = index.stored([one.product_id])[one.product_id]
        found = vectors.find_similar_products(vector, 10, 0.0, wanted)
        assert one.product_id in {hit.product_id for hit in found}
        assert {hit.product_id for hit in found} <= {outcome.product_id for outcome in made[:3]}
        delete = {"event_type": "delete", "product_id": "p0", "version": 2, "industry": "shop-a"}
        catalogue.take([delete])
        assert vectors.get_product_embedding(one.product_id) is None
        vectors.store_product_embedding(one.product_id, vector)
        assert [again.effect for again in catalogue.take([delete])] == [None]
        assert vectors.get_product_embedding(one.product_id) is None, "said again, it is removed again"
