"""Every store of vectors that runs on this machine, as a fixture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pvm_core.errors import StoreError
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.store.assembly import Store
from pvm_resources.vectors.base import VectorStore
from pvm_resources.vectors.pgvector import PgVectorStore
from tests.pvm_resources.streams.servers import RedisServer
from tests.pvm_resources.vectors.shop import DIM, Opened
from tests.standins.pinecone_index import PineconeIndex
from tests.standins.postgrest import PostgRest


@pytest.fixture
def media(tmp_path: Path) -> MediaStore:
    """A media store of the test's own."""
    return MediaStore(str(tmp_path / "media"))


def _pgvector(request: pytest.FixtureRequest, database: Database) -> Iterator[Opened]:
    yield lambda key: PgVectorStore(database, key)


def _qdrant(request: pytest.FixtureRequest, database: Database) -> Iterator[Opened]:
    from qdrant_client import QdrantClient

    from pvm_resources.vectors.qdrant import QdrantStore

    client = QdrantClient(":memory:")
    yield lambda key: QdrantStore(client, key)
    client.close()


def _pinecone(request: pytest.FixtureRequest, database: Database) -> Iterator[Opened]:
    from pvm_resources.vectors.pinecone import PineconeStore, connect

    with PineconeIndex(DIM) as place, connect(place.url, place.key) as index:
        yield lambda key: PineconeStore(index, key)


def _supabase(request: pytest.FixtureRequest, database: Database) -> Iterator[Opened]:
    from pvm_resources.vectors.supabase import SCHEMA, SCRIPT, SupabaseStore, connect

    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(SCRIPT.read_text())
    with PostgRest(database.dsn, SCHEMA) as project:
        yield lambda key: SupabaseStore(connect(project.url, project.key), key)


def _redis(request: pytest.FixtureRequest, database: Database) -> Iterator[Opened]:
    from pvm_resources.vectors.redis_search import RedisStore, connect

    server: RedisServer = request.getfixturevalue("redis_server")
    try:
        RedisStore(connect("127.0.0.1", server.port, 0, None), "probe").count()
    except StoreError as error:
        pytest.skip(f"no Redis with a search engine can be had here: {error.reason}")
    yield lambda key: RedisStore(connect("127.0.0.1", server.port, 0, None), key)


_STORES = {
    "pgvector": _pgvector, "redis": _redis, "qdrant": _qdrant, "pinecone": _pinecone, "supabase": _supabase,
}  # fmt: skip


@pytest.fixture(params=_STORES)
def opened(request: pytest.FixtureRequest, repos: Store) -> Iterator[Opened]:
    """Stores of one kind, empty."""
    yield from _STORES[request.param](request, repos.database)


@pytest.fixture
def vectors(opened: Opened) -> Iterator[VectorStore]:
    """The store of one model's vectors, empty."""
    found = opened("model-a")
    yield found
    found.close()
