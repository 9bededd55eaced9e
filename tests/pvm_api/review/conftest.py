"""The review page over a real server, a real database and drawn pictures, in a real Chromium."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvicorn
from playwright.sync_api import Browser, Page

from pvm_api.app import create_app
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.settings import Settings, load_settings
from pvm_resources.store.api_keys import Keys
from tests.pvm_api.review.shelf import Shelf, fill


@dataclass(frozen=True)
class Site:
    """A running review page over a small finished job."""

    url: str
    database: Database
    media: MediaStore
    settings: Settings
    shelf: Shelf


class _Server(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """None: it runs in a thread."""


def serving(settings: Settings, database: Database, media: MediaStore) -> Iterator[str]:
    """A server in a thread; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    config = uvicorn.Config(create_app(settings, database, media), port=port, log_level="warning")
    server = _Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.started
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def store(
    server: EmbeddedServer, migrated: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Settings, Database, MediaStore]]:
    """A database, a media store and settings without keys, for one module."""
    name = f"review_{os.urandom(6).hex()}"
    home = tmp_path_factory.mktemp("review")
    settings = load_settings(home / "none.env", home=home / "home", api_rate=100_000, api_auth=False)
    with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {migrated} STRATEGY file_copy")
        with Database(server.uri(name)) as database:
            yield settings, database, MediaStore(settings.media)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def site(
    store: tuple[Settings, Database, MediaStore], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The review page without login, over the shelf."""
    settings, database, media = store
    shelf = fill(database, media, tmp_path_factory.mktemp("clips"))
    for url in serving(settings, database, media):
        yield Site(url, database, media, settings, shelf)


@pytest.fixture(scope="module")
def locked(site: Site) -> Iterator[tuple[str, dict[str, str]]]:
    """The same page with keys on: its address, and a key for each scope."""
    keys = Keys(site.database)
    tokens = {
        scope: keys.create(f"Lan ({scope})", [scope])[1] for scope in ("read", "run", "review", "admin")
    }
    for url in serving(site.settings.model_copy(update={"api_auth": True}), site.database, site.media):
        yield url, tokens


def opened(browser: Browser, **options: Any) -> Page:
    """A page in a profile of its own that fails on any error of a script or of the content policy."""
    context = browser.new_context(
        **{"viewport": {"width": 1440, "height": 900}, "locale": "en-GB", **options}
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.faults = []  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.faults.append(str(error)))  # type: ignore[attr-defined]
    page.on(
        "console",
        lambda said: page.faults.append(said.text) if said.type == "error" else None,  # type: ignore[attr-defined]
    )
    return page


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A fresh page on nothing judged; at its end no script may have failed."""
    forget(site.database)
    found = opened(browser)
    yield found
    assert found.faults == []  # type: ignore[attr-defined]
    found.context.close()


def forget(database: Database) -> None:
    """Nobody has said anything."""
    with database.transaction() as cursor:
        cursor.execute("TRUNCATE labels")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go; PVM_SCREENSHOTS names the folder where they are kept."""
    return Path(os.environ.get("PVM_SCREENSHOTS", tmp_path_factory.mktemp("shots")))
