"""The API over a fresh database with a small finished job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pvm_api.app import create_app
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings, load_settings
from pvm_resources.store.api_keys import Keys
from pvm_resources.store.assembly import Store
from tests.databases import Databases
from tests.pvm_api.drawn import jpeg
from tests.pvm_resources import world
from tests.pvm_resources.world import World

#: Keys of shops that no test asks anything.
SHOPS = {
    "ebay_client_id": "id", "ebay_client_secret": "secret", "amazon_credential_id": "id",
    "amazon_credential_secret": "secret", "amazon_credential_version": "2.1", "amazon_partner_tag": "tag-20",
}  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a home of its own; nothing of this machine."""
    return load_settings(tmp_path / "none.env", home=tmp_path / "home", api_rate=100_000, **SHOPS)


@pytest.fixture
def media(settings: Settings) -> MediaStore:
    """The home's media store."""
    return MediaStore(settings.media)


@pytest.fixture
def app(settings: Settings, database: Database, media: MediaStore) -> FastAPI:
    """The application."""
    return create_app(settings, database, media)


@pytest.fixture
def tokens(database: Database) -> dict[str, str]:
    """A key for each scope, by scope."""
    keys = Keys(database)
    return {scope: keys.create(scope, [scope])[1] for scope in ("read", "run", "review", "admin")}


@pytest.fixture
def client(app: FastAPI, tokens: dict[str, str]) -> Iterator[TestClient]:
    """A caller who may do everything."""
    headers = {"X-API-Key": tokens["admin"]}
    with TestClient(app, headers=headers, raise_server_exceptions=False) as found:
        yield found


@pytest.fixture(scope="module")
def shared_database(databases: Databases) -> Iterator[Database]:
    """One database for a module whose tests leave nothing behind."""
    with databases.one() as url, Database(url) as found:
        yield found


@pytest.fixture(scope="module")
def shared_client(
    shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """A caller who may do everything, for tests that leave nothing behind; one database for a module."""
    home = tmp_path_factory.mktemp("api")
    settings = load_settings(home / "none.env", home=home / "home", api_rate=100_000, **SHOPS)
    headers = {"X-API-Key": Keys(shared_database).create("all", ["admin"])[1]}
    app = create_app(settings, shared_database, MediaStore(settings.media))
    with TestClient(app, headers=headers, raise_server_exceptions=False) as found:
        yield found


@pytest.fixture
def done(repos: Store, media: MediaStore) -> World:
    """A finished job with a row in every table, and its pictures."""
    made = world.make(repos, job_id="job-1")
    world.write(repos, made)
    for n, image in enumerate(made.images):
        media.put(image.local_path, jpeg(n))
    for n, frame in enumerate(made.frames):
        media.put(str(frame.local_path), jpeg(100 + n))
    first = world.matches(made)[0]
    media.put(f"evidence/{first.match_id}.jpg", jpeg(999, 400, 200))
    return made
