"""Consumers, the stream's server and the database are killed under load: every change counts once, none is
invented; any interleaving ends in the same catalogue."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvm_core.errors import StoreError
from pvm_resources.living_catalogue import LivingCatalogue
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres import migrate
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store
from pvm_resources.streams.factory import catalogue_handler, get_event_processor
from pvm_resources.streams.postgres import PostgresStream
from tests.pvm_resources.broker import Broker
from tests.pvm_resources.streams.servers import NatsServer, RedisServer

pytestmark = pytest.mark.timeout(600)
_FIELDS = ("title", "brand", "category")
_PRODUCTS = 12


@dataclass
class Shop:
    """Sends changes of its products, as many as it is told, and knows how they must end."""

    processor: Any
    rng: random.Random
    products: dict[str, dict[str, str]] = field(default_factory=dict)
    sent: int = 0

    def change(self, stop: threading.Event) -> None:
        """One change; said again until the stream has taken it."""
        name, number = f"p{self.rng.randrange(_PRODUCTS)}", str(self.sent)
        kind = self.rng.choice(("create", "update", "update", "update", "delete"))
        named = {one: f"{one} {number}" for one in self.rng.sample(_FIELDS, self.rng.randint(1, 3))}
        while not stop.is_set():
            if kind == "create":
                done = self.processor.publish_product_created({"id": name, **named})
            elif kind == "update":
                done = self.processor.publish_product_updated(name, named)
            else:
                done = self.processor.publish_product_deleted(name)
            if done is not None:
                break
            time.sleep(0.1)
        if kind == "create":
            self.products[name] = {**dict.fromkeys(_FIELDS, ""), **named}
        elif kind == "update":
            self.products[name] = {**self.products.get(name, dict.fromkeys(_FIELDS, "")), **named}
        else:
            self.products.pop(name, None)
        self.sent += 1


class Consumers:
    """`pvm products consume` as processes that are started again whenever they end."""

    def __init__(self, count: int, environment: dict[str, str], folder: Path) -> None:
        self._environment = {**os.environ, **environment}
        self._log = (folder / "consumers").open("ab")
        self._stop = threading.Event()
        self.processes = [self._start() for _ in range(count)]
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pvm_cli.main", "products", "consume", "--consumers", "2"]
        return subprocess.Popen(command, env=self._environment, stdout=self._log, stderr=self._log)

    def _keep(self) -> None:
        while not self._stop.wait(0.2):
            for n, process in enumerate(self.processes):
                if process.poll() is not None:
                    self.processes[n] = self._start()

    def kill(self, rng: random.Random) -> None:
        """Ends one at once."""
        rng.choice(self.processes).kill()

    def close(self) -> None:
        """Ends all of them."""
        self._stop.set()
        self._thread.join()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(60)
        self._log.close()


def _kill_database(server: EmbeddedServer) -> None:
    pid = server.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    for _ in range(100):
        time.sleep(0.2)
        try:
            server.up()
        except StoreError:
            continue
        return
    raise AssertionError("the database did not come back")


def _settings(kind: str, request: pytest.FixtureRequest) -> tuple[dict[str, str], Callable[[], None]]:
    """Where the stream is, and what kills its server and starts it again."""
    key = f"product:updates:faults-{kind}"
    found = {"PRODUCT_STREAM_TYPE": kind, "PRODUCT_STREAM_KEY": key, "PRODUCT_STREAM_BLOCK_MS": "300"}
    if kind == "redis":
        redis: RedisServer = request.getfixturevalue("redis_server")
        return {**found, "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis.port)}, _again(redis)
    if kind == "nats":
        nats: NatsServer = request.getfixturevalue("nats_server")
        return {**found, "NATS_URL": nats.url}, _again(nats)
    if kind == "rabbitmq":
        broker: Broker = request.getfixturevalue("broker")
        return {**found, "BUS_BROKER": broker.url}, _again(broker)
    return found, lambda: None


def _again(server: RedisServer | NatsServer | Broker) -> Callable[[], None]:
    def kill() -> None:
        server.stop()
        time.sleep(0.3)
        server.start()

    return kill


@pytest.fixture
def running(home: EmbeddedServer) -> EmbeddedServer:
    """A database server of the test's own, with the schema."""
    home.up()
    migrate.upgrade(home.uri("pvm"))
    return home


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgres", "redis", "nats", "rabbitmq"])
def test_every_change_counts_once_whoever_is_killed(
    kind: str, running: EmbeddedServer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    variables, kill_stream = _settings(kind, request)
    url = running.uri("pvm")
    environment = {**variables, "PVM_HOME": str(tmp_path / "elsewhere"), "PVM_DATABASE_URL": url}
    rng = random.Random(7)
    with Database(url) as database:
        processor = get_event_processor(Settings(**variables), database)  # type: ignore[arg-type]
        shop, over = Shop(processor, rng), threading.Event()
        consumers = Consumers(2, environment, tmp_path)
        try:
            sender = threading.Thread(
                target=lambda: [shop.change(over) for _ in range(600) if not time.sleep(0.02)]
            )
            sender.start()
            chaos: list[Callable[[], None]] = [
                lambda: consumers.kill(rng), kill_stream, lambda: _kill_database(running),
                lambda: consumers.kill(rng), kill_stream,
            ]  # fmt: skip
            for step in chaos:
                time.sleep(rng.uniform(1.0, 3.0))
                step()
            sender.join(240)
            assert not sender.is_alive()
            _wait_for(shop.products, database)
        finally:
            over.set()
            consumers.close()
        with closing(processor.stream()) as stream:
            assert stream.dead(10) == []
        processor.close()
        _check_events(database)


def _catalogue(database: Database) -> dict[str, dict[str, str]]:
    rows = database.tuples(f"SELECT asin_or_itemid, {', '.join(_FIELDS)} FROM products")
    return {row[0]: dict(zip(_FIELDS, row[1:], strict=True)) for row in rows}


def _wait_for(expected: dict[str, dict[str, str]], database: Database) -> None:
    """What a consumer held when it was killed comes again after half a minute."""
    deadline = time.monotonic() + 120
    while (found := _catalogue(database)) != expected:
        assert time.monotonic() < deadline, (found, expected)
        time.sleep(0.5)


def _check_events(database: Database) -> None:
    """No change has two events, and the events of a product tell one story."""
    rows = database.tuples("SELECT item, name, payload FROM outbox WHERE job_id IS NULL ORDER BY seq")
    assert len({(item, payload["version"], name) for item, name, payload in rows}) == len(rows)
    alive: dict[str, bool] = {}
    for item, name, _ in rows:
        assert alive.get(item, False) == (name != "product.created"), (item, name)
        alive[item] = name != "product.deleted"


_MOVES = st.sampled_from(("handle", "crash before", "crash after", "other"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_interleaving_of_deliveries_ends_in_the_same_catalogue(
    repos: Store, tmp_path: Path, data: st.DataObject
) -> None:
    """Late, repeated and partial changes, deletes and re-creates, read by two consumers that crash before and
    after they apply them: the catalogue is the one of applying each once, in the order of versions."""
    kinds = st.sampled_from(("create", "update", "update", "delete"))
    one = st.tuples(kinds, st.sampled_from("ab"), st.integers(0, 5), st.sampled_from(_FIELDS))
    history = [
        {"event_type": kind, "product_id": name, "timestamp": f"2026-01-01T00:00:0{second}Z",
         "event_id": f"e{n}", "data": json.dumps({} if kind == "delete" else {named: f"{n}"})}
        for n, (kind, name, second, named) in enumerate(data.draw(st.lists(one, min_size=1, max_size=10)))
    ]  # fmt: skip
    again = data.draw(st.lists(st.sampled_from(history), max_size=5))
    handle = catalogue_handler(LivingCatalogue(repos, MediaStore(str(tmp_path / "media"))))
    run = str(repos.database.value("SELECT count(*) FROM outbox") + time.monotonic_ns())
    # A claim that has run out at once: another consumer is given what one holds.
    stream = PostgresStream(repos.database, f"k{run}", claim_s=0)

    def named(event: dict[str, str], prefix: str) -> dict[str, str]:
        return {**event, "product_id": f"{prefix}{run}{event['product_id']}"}

    for event in data.draw(st.permutations([*history, *again])):
        stream.publish(named(event, "x"))
    while entries := stream.read("a", data.draw(st.integers(1, 4)), 0):
        move = data.draw(_MOVES)
        if move == "crash before":
            continue
        if move == "other":
            late = stream.read("b", 10, 0)
            assert handle([entry.ordered for entry in late]) == [None] * len(late)
        assert handle([entry.ordered for entry in entries]) == [None] * len(entries)
        if move != "crash after":
            stream.acknowledge(entries)
    in_order = sorted(history, key=lambda event: (event["timestamp"], event["event_id"]))
    for event in in_order:
        assert handle([named(event, "y")]) == [None]
    rows = {name: values for name, values in _catalogue(repos.database).items() if run in name}
    ends = {
        prefix: {name.removeprefix(prefix): one for name, one in rows.items() if name[0] == prefix}
        for prefix in "xy"
    }
    assert ends["x"] == ends["y"]
    stream.close()
