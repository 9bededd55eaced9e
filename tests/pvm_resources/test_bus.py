"""The bus against a real RabbitMQ: topology, confirms, restarts, requests, dead letters, legacy queues."""

from __future__ import annotations

import gc
import json
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pika
import pytest
from typer.testing import CliRunner

from pvm_cli.main import app
from pvm_core.errors import StoreError
from pvm_jobs import contracts
from pvm_jobs.events import COLLECT, PER_JOB, REQUESTS, SEARCH, Event
from pvm_jobs.lifecycle import BARRIERS, derive_phase
from pvm_resources.events import broker as bus
from pvm_resources.events.publisher import Message, Publisher
from pvm_resources.events.relay import Relay
from pvm_resources.postgres.driver import Database
from pvm_resources.store.assembly import Store
from pvm_resources.store.deliveries import Deliveries
from pvm_resources.store.endpoints import BUS_ID, Endpoints
from pvm_resources.store.inbox import Inbox
from pvm_resources.store.job_changes import outbox_write
from tests.pvm_resources.broker import Broker
from tools import legacy_queues
from tools.dropped_names import dropped

pytestmark = pytest.mark.timeout(180)
_PHASES = tuple(name for _, names in BARRIERS for name in names)


@pytest.fixture(autouse=True)
def _clean(broker: Broker) -> None:
    """No queue and no exchange of an earlier test."""
    with bus.opened(broker.url) as channel:
        for queue in httpx.get(f"{broker.management}/api/queues").json():
            channel.queue_delete(queue["name"])
        for exchange in httpx.get(f"{broker.management}/api/exchanges").json():
            if exchange["name"] and not exchange["name"].startswith("amq."):
                channel.exchange_delete(exchange["name"])


@pytest.fixture
def repos(database: Database) -> Store:
    """All repositories, with the bus as an endpoint."""
    Endpoints(database).put(BUS_ID, "bus", "amqp://", ["*"])
    return Store.over(database)


@contextmanager
def running(one: Relay | bus.Consumer) -> Iterator[None]:
    """A relay or a consumer at work in the background."""
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        yield
    finally:
        one.stop()
        thread.join(60)
        assert not thread.is_alive()


def _job(repos: Store, job_id: str) -> str:
    return repos.jobs.create(repos.industries.ensure("pillow").slug, {}, job_id).job_id


def _write(repos: Store, job: str, *names: str) -> list[str]:
    events = [Event(job, name) for name in names]
    for event in events:
        repos.database.commit(outbox_write([event]))
    return [str(event.event_id) for event in events]


def _received(broker: Broker, queue: str, acknowledge: bool = True) -> list[tuple[Any, Any, dict[str, Any]]]:
    found = []
    with bus.opened(broker.url) as channel:
        while (message := channel.basic_get(queue, auto_ack=acknowledge))[0] is not None:
            method, properties, body = message
            found.append((method, properties, json.loads(body)))
    return found


def _publish(broker: Broker, topic: str, body: bytes, message_id: str | None = None) -> None:
    with bus.opened(broker.url) as channel:
        bus.declare(channel)
        channel.confirm_delivery()
        channel.basic_publish(bus.EXCHANGE, topic, body, pika.BasicProperties(message_id=message_id), True)


def _wait(until: Callable[[], bool], timeout_s: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# -- out ----------------------------------------------------------------------------------------------


def test_all_events_reach_a_consumers_queue_in_order_and_keep_their_contract(
    broker: Broker, repos: Store
) -> None:
    with bus.opened(broker.url) as channel:
        bus.declare(channel)
        bus.declare_queue(channel, "consumer", ["#"])
    ids = _write(repos, _job(repos, "job-1"), *_PHASES)
    assert Relay(repos.database, {"bus": bus.BusSink(broker.url)}).drain() == len(ids)
    got = _received(broker, "consumer")
    assert [properties.message_id for _, properties, _ in got] == ids
    for method, properties, payload in got:
        contracts.validate(method.routing_key, payload)
        assert properties.delivery_mode == 2
        assert (properties.type, properties.headers["job_id"]) == (method.routing_key, "job-1")
        assert payload["event_id"] == properties.message_id
    assert _received(broker, bus.UNROUTED) == []


def test_an_event_that_nobody_bound_for_is_kept(broker: Broker, repos: Store) -> None:
    with bus.opened(broker.url) as channel:
        bus.declare(channel)
        bus.declare_queue(channel, "consumer", ["*.collections.completed"])
    ids = _write(repos, _job(repos, "job-1"), *_PHASES)
    Relay(repos.database, {"bus": bus.BusSink(broker.url)}).drain()
    assert [p.message_id for _, p, _ in _received(broker, "consumer")] == ids[:2]
    assert [p.message_id for _, p, _ in _received(broker, bus.UNROUTED)] == ids[2:]


@pytest.mark.long
def test_nothing_is_lost_while_the_broker_is_killed_and_comes_back(broker: Broker, repos: Store) -> None:
    with bus.opened(broker.url) as channel:
        bus.declare(channel)
        bus.declare_queue(channel, "consumer", ["#"])
    # RabbitMQ 3.10 writes the list of its quorum queues to disk half a second after it last changed.
    time.sleep(2.0)
    jobs = [_job(repos, f"job-{n}") for n in range(3)]
    sent: dict[str, list[str]] = defaultdict(list)
    with running(Relay(repos.database, {"bus": bus.BusSink(broker.url)})):
        for n, name in enumerate(PER_JOB):
            for job in jobs:
                sent[job] += _write(repos, job, name)
            if n == 3:
                broker.stop()
            if n == 7:
                broker.start()
        _wait(lambda: Deliveries(repos.database).backlog().open == 0, 60)
    first: dict[str, list[str]] = defaultdict(list)
    for _, properties, payload in _received(broker, "consumer"):
        if properties.message_id not in first[payload["job_id"]]:
            first[payload["job_id"]].append(properties.message_id)
    assert dict(first) == dict(sent)
    assert {d.state for d in Deliveries(repos.database).listed()} == {"delivered"}


def test_a_consumer_that_dies_sees_its_message_again_and_derives_the_same_phase(
    broker: Broker, repos: Store
) -> None:
    with bus.opened(broker.url) as channel:
        bus.declare(channel)
        bus.declare_queue(channel, "consumer", ["*.*.completed"])
    _write(repos, _job(repos, "job-1"), *_PHASES)
    Relay(repos.database, {"bus": bus.BusSink(broker.url)}).drain()
    seen = _received(broker, "consumer", acknowledge=False)
    again = _received(broker, "consumer")
    once = {properties.message_id: method.routing_key for method, properties, _ in (*again, *seen)}
    assert len(once) == len(_PHASES) < len(seen) + len(again)
    assert derive_phase(set(once.values())) == "completed"


def test_a_broker_that_is_away_costs_no_attempt_its_life(repos: Store) -> None:
    _write(repos, _job(repos, "job-1"), "job.completed")
    relay = Relay(repos.database, {"bus": bus.BusSink("amqp://guest:guest@127.0.0.1:9/")})
    for _ in range(15):
        assert relay.drain() == 1
        with repos.database.transaction() as cursor:
            cursor.execute("UPDATE delivery_streams SET next_attempt_at = now()")
    (one,) = Deliveries(repos.database).listed()
    assert (one.state, one.attempts) == ("open", 15)
    assert "Connection refused" in (one.last_error or "")


def test_a_broker_that_is_away_for_long_costs_no_files(broker: Broker) -> None:
    message = Message("nowhere", "a", b"", pika.BasicProperties(message_id="1"))
    # Connections of earlier tests may live on, or end while this one counts threads.
    others = set(threading.enumerate())
    for url in ("amqp://guest:guest@127.0.0.1:9/", broker.url):
        publisher = Publisher(bus.parameters_of(url))
        before = 0
        for n in range(12):
            # There is no such exchange, so the broker closes the channel, and we the connection.
            with pytest.raises(StoreError, match=r"bus\.unreachable"):
                publisher.publish(message)
            _wait(lambda: not [t for t in threading.enumerate() if t.name == "bus" and t not in others])
            before = before if n else _open_files()
        _wait(lambda most=before + 2: _open_files() <= most)  # type: ignore[misc]


def _open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("no address", "bus.url"),
        ("http://x/", "bus.url"),
        ("amqp://guest:wrong@127.0.0.1:{port}/", "bus.denied"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_its_password(
    broker: Broker, url: str, code: str
) -> None:
    with pytest.raises(StoreError) as caught, bus.opened(url.format(port=broker.port)):
        pass
    assert caught.value.code == code
    assert "wrong" not in str(caught.value)


def test_an_exchange_of_another_kind_is_in_the_way(broker: Broker) -> None:
    with bus.opened(broker.url) as channel:
        channel.exchange_declare(bus.EXCHANGE, "fanout")
    with pytest.raises(StoreError, match=r"bus\.topology"), bus.opened(broker.url) as channel:
        bus.declare(channel)


# -- in -----------------------------------------------------------------------------------------------


def test_requests_reach_the_inbox_once(broker: Broker, repos: Store) -> None:
    inbox = Inbox(repos.database)
    bodies = {topic: json.dumps(contracts.load(topic)["examples"][0]).encode() for topic in REQUESTS}
    with running(bus.Consumer(broker.url, inbox)):
        for topic in (SEARCH, COLLECT, SEARCH, *REQUESTS):
            _publish(broker, topic, bodies[topic])
        _publish(broker, COLLECT, bodies[COLLECT], str(uuid.uuid4()))
        _wait(lambda: len(inbox.rows()) == 4)
        _wait(lambda: _depth(broker, bus.REQUEST_QUEUE) == 0)
    rows = inbox.rows()
    assert sorted(row.topic for row in rows) == sorted([*REQUESTS, COLLECT])
    assert {(row.source, row.status) for row in rows} == {("bus", "received")}
    assert all(row.payload == contracts.load(row.topic)["examples"][0] for row in rows)
    assert _received(broker, bus.DEAD) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"job_id": 1}', b'{"industry": "x"}', b"\xff", b"[" * 100_000,
     b'{"job_id": "j", "industry": "a\\u0000b"}', b'{"job_id": "j", "industry": "x", "more": NaN}'],
    ids=lambda body: body[:30].decode("latin-1"),
)  # fmt: skip
def test_what_cannot_be_read_goes_to_the_dead_letters_and_holds_up_nothing(
    broker: Broker, repos: Store, body: bytes
) -> None:
    inbox = Inbox(repos.database)
    with running(bus.Consumer(broker.url, inbox)):
        _publish(broker, COLLECT, body)
        _publish(broker, COLLECT, json.dumps(contracts.load(COLLECT)["examples"][0]).encode())
        _wait(lambda: len(inbox.rows()) == 1)
        _wait(lambda: _depth(broker, bus.DEAD) == 1)
    with bus.opened(broker.url) as channel:
        method, _, dead = channel.basic_get(bus.DEAD, auto_ack=True)
    assert (method.routing_key, dead) == (COLLECT, body)


def test_a_request_waits_for_a_database_that_is_away(broker: Broker, repos: Store) -> None:
    class Shaky:
        """An inbox whose database is away twice."""

        failures = 2

        def accept(self, event_id: uuid.UUID, topic: str, payload: Mapping[str, Any], source: str) -> bool:
            if self.failures:
                self.failures -= 1
                raise StoreError("store.unreachable", "pvm", "it is away", "Start it", retryable=True)
            return Inbox(repos.database).accept(event_id, topic, payload, source)

    with running(bus.Consumer(broker.url, Shaky())):
        _publish(broker, COLLECT, json.dumps(contracts.load(COLLECT)["examples"][0]).encode())
        _wait(lambda: len(Inbox(repos.database).rows()) == 1)
        _wait(lambda: _depth(broker, bus.REQUEST_QUEUE) == 0)
    assert _received(broker, bus.DEAD) == []


def test_a_message_that_kills_its_consumer_is_dead_after_the_limit(broker: Broker) -> None:
    _publish(broker, COLLECT, b"{}")
    tries = 0
    while _depth(broker, bus.DEAD) == 0:
        with bus.opened(broker.url) as channel:
            tries += channel.basic_get(bus.REQUEST_QUEUE)[0] is not None
        assert tries <= bus.DELIVERY_LIMIT + 1
        time.sleep(0.1)
    assert tries == bus.DELIVERY_LIMIT + 1


# -- commands and the legacy script -------------------------------------------------------------------


def test_declare_makes_the_topology(broker: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BUS_BROKER", broker.url)
    monkeypatch.setenv("PVM_HOME", str(tmp_path))
    arguments = ["events", "declare", "--queue", "mine", "--bind", "match.result"]
    for _ in range(2):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
    queues = {q["name"]: q for q in httpx.get(f"{broker.management}/api/queues").json()}
    assert set(queues) == {bus.UNROUTED, bus.DEAD, bus.REQUEST_QUEUE, "mine"}
    assert all(q["durable"] and q["type"] == "quorum" for q in queues.values())
    for name in (bus.REQUEST_QUEUE, "mine"):
        assert queues[name]["arguments"]["x-delivery-limit"] == bus.DELIVERY_LIMIT
        assert queues[name]["arguments"]["x-dead-letter-exchange"] == bus.DEAD
    keys = {b["routing_key"] for b in httpx.get(f"{broker.management}/api/queues/%2F/mine/bindings").json()}
    assert "match.result" in keys


def test_legacy_queues_are_listed_then_removed(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    old, older, oldest = dropped()
    with bus.opened(broker.url) as channel:
        bus.declare(channel)
        for queue, keys in {
            "matcher": [old],
            f"q.{older}": [],
            "full": [oldest],
            "both": [old, "match.result"],
            "used": [old],
            "ours": ["match.result"],
            old.replace(".", ""): [],
        }.items():
            channel.queue_declare(queue, durable=True)
            for key in keys:
                channel.queue_bind(queue, bus.EXCHANGE, key)
        channel.basic_publish(bus.EXCHANGE, oldest, b"{}")
        channel.basic_consume("used", lambda *_: None)
        _wait(lambda: {q["name"]: q for q in _queues(broker)}["used"].get("consumers") == 1)
        _wait(lambda: {q["name"]: q for q in _queues(broker)}["full"].get("messages") == 1)
        arguments = ["--management", broker.management]
        before = {q["name"] for q in _queues(broker)}
        assert legacy_queues.main(arguments) == 1
        told = capsys.readouterr().out
        assert "nothing was changed" in told
        assert "delete  matcher" in told
        assert {q["name"] for q in _queues(broker)} == before, "a dry run changes nothing"

        assert legacy_queues.main([*arguments, "--apply"]) == 1
        assert before - {q["name"] for q in _queues(broker)} == {"matcher", f"q.{older}"}
        assert legacy_queues.main([*arguments, "--apply", "--purge"]) == 1, "one is in use"
    left = {q["name"] for q in _queues(broker)}
    assert before - left == {"matcher", f"q.{older}", "full"}
    bindings = httpx.get(f"{broker.management}/api/queues/%2F/both/bindings").json()
    assert {b["routing_key"] for b in bindings if b["source"]} == {"match.result"}
    _wait(lambda: not {q["name"]: q for q in _queues(broker)}["used"].get("consumers"))
    assert legacy_queues.main([*arguments, "--apply"]) == 0
    assert "used" not in {q["name"] for q in _queues(broker)}
    assert legacy_queues.main(arguments) == 0


def test_a_management_api_that_is_away_is_told_without_its_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert legacy_queues.main(["--management", "http://guest:hidden@127.0.0.1:9"]) == 1
    assert "hidden" not in capsys.readouterr().err


def _queues(broker: Broker) -> list[Any]:
    found: list[Any] = httpx.get(f"{broker.management}/api/queues").json()
    return found


def _depth(broker: Broker, queue: str) -> int:
    with bus.opened(broker.url) as channel:
        bus.declare(channel)
        return int(channel.queue_declare(queue, passive=True).method.message_count)
