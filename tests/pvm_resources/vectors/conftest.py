"""Every store of vectors that runs on this machine, as a fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.store.assembly import Store
from pvm_resources.vectors.base import VectorStore
from pvm_resources.vectors.pgvector import PgVectorStore
from tests.pvm_resources.vectors.shop import Opened


@pytest.fixture
def media(tmp_path: Path) -> MediaStore:
    """A media store of the test's own."""
    return MediaStore(str(tmp_path / "media"))


@contextmanager
def _pgvector(database: Database) -> Iterator[Opened]:
    yield lambda key: PgVectorStore(database, key)


_STORES: dict[str, Callable[[Database], AbstractContextManager[Opened]]] = {"pgvector": _pgvector}


@pytest.fixture(params=_STORES)
def opened(request: pytest.FixtureRequest, repos: Store) -> Iterator[Opened]:
    """Stores of one kind, empty."""
    with _STORES[request.param](repos.database) as found:
        yield found


@pytest.fixture
def vectors(opened: Opened) -> Iterator[VectorStore]:
    """The store of one model's vectors, empty."""
    found = opened("model-a")
    yield found
    found.close()
