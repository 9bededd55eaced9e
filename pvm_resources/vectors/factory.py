"""The store of vectors that the settings choose."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from pydantic import SecretStr

from pvm_resources.clients import installed, missing
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings
from pvm_resources.vectors.base import VectorStore
from pvm_resources.vectors.pgvector import PgVectorStore


def get_vector_store(settings: Settings, database: Database, model_key: str) -> VectorStore:
    """A store of the vectors of one model, not yet connected.

    Args:
        database: of our tables.
        model_key: the model's; vectors of another are not seen.

    Raises:
        InputError: ``settings.invalid``: it needs a setting that is missing.
        StoreError: ``service.client``: its client is not installed.
    """
    dimension, least = settings.vector_dimension, settings.similarity_threshold
    if settings.vector_store_type == "pgvector":
        return PgVectorStore(
            database, model_key, dimension=dimension, index_name=settings.vector_index_name, min_score=least
        )
    makers = {"redis": _redis, "qdrant": _qdrant, "pinecone": _pinecone, "supabase": _supabase}
    return makers[settings.vector_store_type](settings, model_key, dimension, least)


def forgetting(settings: Settings, database: Database) -> Callable[[Sequence[uuid.UUID]], None] | None:
    """What removes deleted products' vectors from a store beside the database; None where there is none: from
    our tables they go with the product's row.

    Raises:
        InputError, StoreError: as `get_vector_store`.
    """
    if settings.vector_store_type == "pgvector":
        return None
    store = get_vector_store(settings, database, "")

    def forget(product_ids: Sequence[uuid.UUID]) -> None:
        for product_id in product_ids:
            store.delete_product_embedding(product_id)

    return forget


def _redis(settings: Settings, model_key: str, dimension: int, least: float) -> VectorStore:
    installed("redis", "vectors")
    from pvm_resources.vectors.redis_search import RedisStore, connect

    password = _plain(settings.redis_password)
    client = connect(settings.redis_host, settings.redis_port, settings.redis_db, password)
    name = settings.vector_index_name
    return RedisStore(client, model_key, dimension=dimension, index_name=name, min_score=least)


def _qdrant(settings: Settings, model_key: str, dimension: int, least: float) -> VectorStore:
    installed("qdrant_client", "vectors")
    from pvm_resources.vectors.qdrant import QdrantStore, connect

    client = connect(settings.qdrant_url, _plain(settings.qdrant_api_key))
    name = settings.vector_index_name
    return QdrantStore(client, model_key, dimension=dimension, index_name=name, min_score=least)


def _pinecone(settings: Settings, model_key: str, dimension: int, least: float) -> VectorStore:
    installed("pinecone", "vectors")
    from pvm_resources.vectors.pinecone import PineconeStore, connect

    key = _plain(settings.pinecone_api_key)
    if settings.pinecone_host is None or key is None:
        raise missing("PINECONE_HOST and PINECONE_API_KEY", "pinecone")
    return PineconeStore(
        connect(settings.pinecone_host, key), model_key, dimension=dimension, min_score=least
    )


def _supabase(settings: Settings, model_key: str, dimension: int, least: float) -> VectorStore:
    installed("postgrest", "vectors")
    from pvm_resources.vectors.supabase import SupabaseStore, connect

    key = _plain(settings.supabase_key)
    if settings.supabase_url is None or key is None:
        raise missing("SUPABASE_URL and SUPABASE_KEY", "supabase")
    return SupabaseStore(connect(settings.supabase_url, key), model_key, dimension=dimension, min_score=least)


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
