"""Publishing where there is no server, ties by the place in the stream, what Redis alone does."""

from __future__ import annotations

import logging
from contextlib import closing

import pytest

from pvm_core.errors import InputError, StoreError
from pvm_resources.living_catalogue import LivingCatalogue
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store
from pvm_resources.streams.base import Entry, place
from pvm_resources.streams.factory import catalogue_handler, get_event_processor
from pvm_resources.streams.processor import ProductEventProcessor
from pvm_resources.streams.redis_streams import RedisStream, connect
from tests.pvm_resources.broker import free_port
from tests.pvm_resources.streams.servers import RedisServer


@pytest.mark.parametrize("kind", ["redis", "nats", "rabbitmq", "supabase"])
def test_without_a_server_nothing_is_published_and_the_reason_is_logged(
    kind: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    settings = Settings(  # type: ignore[call-arg]
        PRODUCT_STREAM_TYPE=kind, REDIS_HOST="127.0.0.1", REDIS_PORT=port, NATS_URL=f"nats://127.0.0.1:{port}",
        BUS_BROKER=f"amqp://guest:guest@127.0.0.1:{port}/", SUPABASE_URL=f"http://127.0.0.1:{port}",
        SUPABASE_KEY="secret",
    )  # fmt: skip
    processor = get_event_processor(settings, database)
    with caplog.at_level(logging.ERROR, "pvm.stream"):
        assert processor.publish_product_deleted("a") is None
        assert processor.publish_product_created({"name": "has no id"}) is None
    assert "stream.unreachable" in caplog.text or "was not published" in caplog.text
    assert "names no product" in caplog.text
    assert "secret" not in caplog.text
    processor.close()


def test_a_stream_that_needs_an_address_says_so(database: Database) -> None:
    for kind, variable in (("rabbitmq", "BUS_BROKER"), ("supabase", "SUPABASE_URL")):
        with pytest.raises(InputError, match=variable):
            get_event_processor(Settings(PRODUCT_STREAM_TYPE=kind), database)  # type: ignore[call-arg]


def test_a_consumer_needs_a_handler(database: Database) -> None:
    with pytest.raises(StoreError, match="handler"):
        get_event_processor(Settings(), database).start_consumer()


def test_between_changes_of_one_time_the_place_in_the_stream_decides(repos: Store, media: MediaStore) -> None:
    handle = catalogue_handler(LivingCatalogue(repos, media))
    at = "2026-01-01T00:00:00Z"
    entries = [
        Entry(f"5-{n}", place(5, n), {"event_type": "create", "product_id": "a", "timestamp": at,
                                      "data": f'{{"name": "number {n}"}}'})
        for n in (9, 11, 10)
    ]  # fmt: skip
    assert handle([one.ordered for one in entries]) == [None] * 3
    assert repos.database.value("SELECT title FROM products") == "number 11"


def test_the_entry_that_starts_a_founding_stream_is_no_change(repos: Store, media: MediaStore) -> None:
    handle = catalogue_handler(LivingCatalogue(repos, media))
    first, bad = handle([Entry("1-0", place(1, 0), {"init": "true"}).ordered, {"event_type": "create"}])
    assert first is None
    assert bad is not None
    assert bad.code == "change.product_id"


def test_published_changes_of_one_producer_have_an_order(database: Database) -> None:
    processor = get_event_processor(Settings(), database)
    for n in range(50):
        assert processor.publish_product_updated("a", {"price": n})
    with closing(processor.stream()) as stream:
        stamps = [one.event["timestamp"] for one in stream.read("a", 100, 100)]
    assert stamps == sorted(set(stamps))


def test_redis_is_trimmed_of_what_is_acknowledged_alone(redis_server: RedisServer) -> None:
    client = connect("127.0.0.1", redis_server.port, 0)
    stream = RedisStream(client, "trimmed", claim_s=30)
    processor = ProductEventProcessor(lambda: stream)
    for n in range(10):
        assert processor.publish_product_updated("a", {"price": n})
    client.xgroup_create("trimmed", "another group", id="0")
    held = stream.read("a", 6, 100)
    stream.acknowledge([*held[:2], *held[3:]])
    assert stream.trim() == 0, "another group has read nothing"
    client.xgroup_setid("trimmed", "another group", "$")
    assert stream.trim() == 2
    assert client.xlen("trimmed") == 8, "the third is pending, the rest after it stays"
    assert [one.entry_id for one in stream.read("b", 10, 100)] == [
        row[0] for row in client.xrange("trimmed")
    ][4:]
    stream.close()


def test_a_stream_that_redis_lost_is_made_again(redis_server: RedisServer) -> None:
    client = connect("127.0.0.1", redis_server.port, 0)
    with closing(RedisStream(client, "lost")) as stream:
        assert stream.read("a", 1, 50) == []
        client.delete("lost")
        assert stream.read("a", 1, 50) == []
        stream.publish({"event_type": "delete", "product_id": "a", "timestamp": "", "data": "{}"})
        assert len(stream.read("a", 1, 50)) == 1
