"""Changes that several threads bring at a time share a transaction; what became of each is told to each."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pvm_core.errors import StoreError
from pvm_resources.living_catalogue import LivingCatalogue
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.store.assembly import Store


@pytest.fixture
def catalogue(repos: Store, tmp_path: Path) -> LivingCatalogue:
    """Over a database without rows."""
    return LivingCatalogue(repos, MediaStore(str(tmp_path / "media")))


def test_each_thread_learns_what_became_of_its_own(catalogue: LivingCatalogue, repos: Store) -> None:
    def change(n: int) -> tuple[int, str | None, str | None]:
        event = {"event_type": "create", "product_id": f"p{n % 40}", "version": n, "data": {"price": str(n)}}
        if n % 10 == 9:
            event["data"] = {"colour": "blue"}
        (outcome,) = catalogue.take([event])
        return n, outcome.effect, outcome.error.code if outcome.error else None

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(change, range(400)))
    assert {n for n, _, code in found if code == "change.field"} == set(range(9, 400, 10))
    effects = Counter(effect for _, effect, _ in found)
    assert effects["created"] == 36
    rows = dict(repos.database.tuples("SELECT asin_or_itemid, price FROM products"))
    assert rows == {f"p{n % 40}": str(n) for n in range(360, 400) if n % 10 != 9}
    written = "SELECT count(*) FROM outbox WHERE job_id IS NULL"
    assert repos.database.value(written) == effects["created"] + effects["updated"], (
        "an event for each effect"
    )


def test_without_version_and_time_the_later_call_stands(catalogue: LivingCatalogue, repos: Store) -> None:
    catalogue.take([{"event_type": "create", "product_id": "a", "data": {"price": "0"}}])
    for n in range(1, 20):
        events = [
            {"event_type": "update", "product_id": "a", "data": {"price": str(price)}}
            for price in (n * 10, n)
        ]
        assert [one.effect for one in catalogue.take(events)] == ["updated"] * 2
        assert repos.database.value("SELECT price FROM products") == str(n)


def test_a_database_that_is_away_is_told_to_all_and_forgotten(tmp_path: Path, home: EmbeddedServer) -> None:
    from pvm_resources.postgres import migrate

    home.up()
    migrate.upgrade(home.uri("pvm"))
    with Database(home.uri("pvm")) as database:
        catalogue = LivingCatalogue(Store.over(database), MediaStore(str(tmp_path / "media")))
        start = threading.Barrier(4)

        def change(n: int) -> str:
            start.wait()
            try:
                catalogue.take([{"event_type": "create", "product_id": f"p{n}", "version": 1, "data": {}}])
            except StoreError as error:
                return error.code
            return "done"

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(change, range(4))) == {"done"}
            home.down()
            assert set(pool.map(change, range(4, 8))) <= {"store.unreachable", "server.stopped"}
            home.up()
            assert set(pool.map(change, range(4, 8))) == {"done"}
        assert database.value("SELECT count(*) FROM products") == 8
