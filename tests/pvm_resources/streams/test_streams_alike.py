"""What every stream of changes does alike: Redis, RabbitMQ and NATS are real servers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest

from pvm_core.errors import InputError, StoreError
from pvm_resources.living_catalogue import LivingCatalogue
from pvm_resources.media.store import MediaStore
from pvm_resources.store.assembly import Store
from pvm_resources.streams.base import Stream
from pvm_resources.streams.factory import catalogue_handler
from pvm_resources.streams.processor import ProductEventProcessor, Progress

pytestmark = pytest.mark.timeout(180)
Opened = Callable[[float], Stream]


def wire(n: int, kind: str = "create", **more: str) -> dict[str, str]:
    """An event in the founding wire shape."""
    data = json.dumps({"name": f"Product {n}", "category": f"C{n % 5}"})
    stamp = f"2026-01-01T00:00:{n % 60:02d}.{n:06d}+00:00"
    return {"event_type": kind, "product_id": f"p{n}", "timestamp": stamp, "data": data, **more}


def drained(stream: Stream, count: int = 100, name: str = "a") -> list[dict[str, Any]]:
    """The events that are there, acknowledged."""
    found: list[dict[str, Any]] = []
    while entries := stream.read(name, count, 700):
        found += [dict(one.event) for one in entries]
        stream.acknowledge(entries)
    return found


def until(done: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits for it."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def test_what_is_published_comes_once_and_in_order(opened: Opened, request: pytest.FixtureRequest) -> None:
    with closing(opened(30)) as stream:
        names = [stream.publish(wire(n, event_id=f"e{n}")) for n in range(25)]
        assert len(set(names)) == 25
        found = drained(stream, 10)
        order = [one["product_id"] for one in found]
        if "partitions" not in request.node.callspec.id:
            assert order == [f"p{n}" for n in range(25)]
        assert sorted(order) == sorted(f"p{n}" for n in range(25))
        assert found[0].keys() == {"event_type", "product_id", "timestamp", "data", "event_id"}
        assert isinstance(found[0]["data"], str), "data travels as a JSON text"
        assert stream.read("a", 10, 200) == []


def test_consumers_share_what_there_is(opened: Opened) -> None:
    with closing(opened(30)) as one, closing(opened(30)) as other:
        for n in range(20):
            one.publish(wire(n, event_id=f"e{n}"))
        first = one.read("a", 5, 1_000)
        second = other.read("b", 5, 1_000)
        assert first
        assert second
        held = [entry.event["product_id"] for entry in (*first, *second)]
        assert len(set(held)) == len(held)
        one.acknowledge(first)
        other.acknowledge(second)
        rest = [*drained(one), *drained(other, name="b")]
        assert len({*held, *(event["product_id"] for event in rest)}) == 20


def test_what_a_dead_consumer_held_comes_again(opened: Opened) -> None:
    with closing(opened(1.0)) as stream:
        for n in range(3):
            stream.publish(wire(n, event_id=f"e{n}"))
        dead = opened(1.0)
        held = dead.read("dead", 10, 1_000)
        assert held
        dead.close()
        found: dict[str, int] = {}

        def all_here() -> bool:
            entries = stream.read("alive", 10, 500)
            found.update({entry.event["product_id"]: entry.deliveries for entry in entries})
            stream.acknowledge(entries)
            return found.keys() == {"p0", "p1", "p2"}

        until(all_here)
        assert found[held[0].event["product_id"]] == 2, "it says how often it was handed out"


def test_what_is_postponed_comes_again(opened: Opened) -> None:
    with closing(opened(1.0)) as stream:
        stream.publish(wire(1, event_id="e1"))
        entries = stream.read("a", 10, 1_000)
        stream.postpone(entries)
        assert stream.read("a", 10, 200) == []
        found: list[Any] = []

        def again() -> bool:
            found.extend(stream.read("a", 10, 500))
            return bool(found)

        until(again)
        assert found[0].event["product_id"] == "p1"
        stream.acknowledge(found)


def test_dead_letters_are_kept_and_replayed(opened: Opened) -> None:
    with closing(opened(30)) as stream:
        for n in range(3):
            stream.publish(wire(n, event_id=f"e{n}"))
        entries: list[Any] = []
        while len(entries) < 3:
            entries += stream.read("a", 10, 1_000)
        for entry in entries:
            stream.bury(entry, f"no product {entry.event['product_id']}")
        letters = stream.dead(10)
        assert [one.reason for one in letters] == [f"no product {one.event['product_id']}" for one in letters]
        assert {one.event["product_id"] for one in letters} == {"p0", "p1", "p2"}
        assert letters[0].event["data"] == wire(0)["data"] or letters[0].event.keys() >= {"data"}
        assert drained(stream) == []
        assert stream.replay(2) == 2
        assert len(drained(stream)) == 2
        assert stream.replay(10) == 1
        assert stream.dead(10) == []
        assert len(drained(stream)) == 1


def test_what_waits_is_measured(opened: Opened, request: pytest.FixtureRequest) -> None:
    with closing(opened(30)) as stream:
        for n in range(10):
            stream.publish(wire(n, event_id=f"e{n}"))
        if request.node.callspec.id == "supabase":
            assert stream.depth().lag is None, "its interface does not tell"
            return
        until(lambda: stream.depth().lag == 10)
        entries = stream.read("a", 4, 1_000)
        stream.bury(entries[0], "for a test")
        stream.acknowledge(entries[1:2])
        depth = stream.depth()
        if request.node.callspec.id != "rabbitmq":
            assert depth.pending == len(entries) - 2
        until(lambda: stream.depth().dead == 1)


@pytest.fixture
def platform(opened: Opened, repos: Store, media: MediaStore) -> Any:
    """A processor over the catalogue; `seen` has what its consumers told."""
    seen: list[Progress] = []

    class Heard:
        def __call__(self, consumer: str, one: Progress) -> None:
            seen.append(one)

        def finish(self) -> None:
            """Nothing more comes."""

    found = ProductEventProcessor(lambda: opened(2.0), block_ms=500, observe=Heard())
    found.set_event_handler(catalogue_handler(LivingCatalogue(repos, media)))
    yield found, seen
    assert found.stop_consumer()
    found.close()


def test_changes_reach_the_catalogue(platform: Any, repos: Store) -> None:
    processor, seen = platform
    for _ in range(3):
        processor.start_consumer()
    assert processor.publish_product_created({"id": "a", "name": "Lamp", "price": 10, "currency": "USD"})
    assert processor.publish_product_updated("a", {"price": 12.5})
    assert processor.publish_product_created({"id": "b", "name": "Desk"})
    assert processor.publish_product_deleted("b")
    assert processor.publish_product_updated("a", {"colour": "blue"}), "what is wrong with it shows later"

    def rows() -> dict[str, str]:
        query = "SELECT asin_or_itemid, title || ' ' || price FROM products"
        return dict(repos.database.tuples(query))

    # An entry is handed out again, and counted again, where a busy machine kept its consumer past the claim.
    until(lambda: rows() == {"a": "Lamp 12.5"} and sum(one.refused for one in seen) >= 1)
    until(lambda: sum(one.handled for one in seen) >= 4)
    with closing(processor.stream()) as stream:
        (letter,) = stream.dead(10)
    assert "colour" in letter.reason
    assert letter.event["product_id"] == "a"
    assert processor.healthy


def test_a_handler_that_fails_is_tried_again_and_one_that_cannot_is_a_dead_letter(opened: Opened) -> None:
    processor = ProductEventProcessor(lambda: opened(2.0), block_ms=300)
    failures = iter([StoreError("store.unreachable", "db", "gone", "Start it")] * 2)
    done: list[str] = []

    def handle(events: Sequence[Mapping[str, Any]]) -> list[InputError | None]:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        if any(one["product_id"] == "bad" for one in events):
            raise StoreError("store.text", "db", "no text", "Correct it")
        done.extend(one["product_id"] for one in events)
        return [None] * len(events)

    processor.set_event_handler(handle)
    for name in ("x", "bad", "y"):
        assert processor.publish_product_updated(name, {"price": 1})
    processor.start_consumer()
    until(lambda: {*done} == {"x", "y"})
    with closing(processor.stream()) as stream:
        until(lambda: len(stream.dead(10)) == 1)
    assert processor.stop_consumer()
    processor.close()


def test_a_stop_waits_for_what_is_being_handled(opened: Opened) -> None:
    processor = ProductEventProcessor(lambda: opened(30), block_ms=300)
    began, go_on, done = threading.Event(), threading.Event(), []

    def handle(events: Sequence[Mapping[str, Any]]) -> list[InputError | None]:
        began.set()
        go_on.wait(30)
        done.extend(events)
        return [None] * len(events)

    processor.set_event_handler(handle)
    assert processor.publish_product_created({"id": "a"})
    processor.start_consumer()
    assert began.wait(30)
    threading.Timer(0.3, go_on.set).start()
    assert processor.stop_consumer()
    assert len(done) == 1
    with closing(processor.stream()) as stream:
        assert stream.read("other", 10, 700) == [], "it was acknowledged"
    processor.close()
