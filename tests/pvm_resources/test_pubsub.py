"""Live updates over a real Redis: what a subscriber gets, and a Redis that is away for a while."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from pvm_jobs.events import Event
from pvm_jobs.payloads import live_message
from pvm_resources.events.wiring import make_relay
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings, load_settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.deliveries import Deliveries
from pvm_resources.store.endpoints import PUBSUB_ID, Endpoints
from pvm_resources.store.job_changes import outbox_write
from tests.pvm_resources import world
from tests.pvm_resources.streams.servers import RedisServer

CHANNEL = "attention:updates"


@pytest.fixture
def settings(redis_server: RedisServer, tmp_path: Path) -> Settings:
    """Settings that name it and a channel."""
    return load_settings(
        tmp_path / "none.env", home=tmp_path, redis_host="127.0.0.1", redis_port=redis_server.port,
        attention_redis_channel=CHANNEL,
    )  # fmt: skip


@pytest.fixture
def subscribed(redis_server: RedisServer) -> Iterator[Callable[[], list[Any]]]:
    """Messages of the channel so far."""
    with (
        redis.Redis(port=redis_server.port) as client,
        client.pubsub(ignore_subscribe_messages=True) as listener,
    ):
        listener.subscribe(CHANNEL)
        listener.get_message(ignore_subscribe_messages=False, timeout=30)

        def messages() -> list[Any]:
            found = []
            while (one := listener.get_message(timeout=1)) is not None:
                found.append(json.loads(one["data"]))
            return found

        yield messages


def _emit(repos: Store, *names: str) -> None:
    told = {"score": 0.5, "coverage": 1.0, "confidence": 0.5}
    events = [
        Event("job-1", name, str(uuid.uuid4()) if name == "video.attention.ready" else "", told)
        for name in names
    ]
    repos.database.commit(outbox_write(events))


def test_a_subscriber_gets_what_the_websocket_sends_and_nothing_else(
    repos: Store, database: Database, settings: Settings, subscribed: Callable[[], list[Any]]
) -> None:
    world.write(repos, world.make(repos, job_id="job-1"))
    relay = make_relay(settings, database)
    _emit(repos, "video.attention.ready", "job.completed", "attention.analysis.completed")
    relay.drain()
    got = subscribed()
    assert [one["event"] for one in got] == ["video.attention.ready", "attention.analysis.completed"]
    assert got == [json.loads(live_message(one)) for one in repos.attention.updates({"job-1": 0})]


def test_a_redis_that_was_away_gets_it_later(
    repos: Store, database: Database, settings: Settings, redis_server: RedisServer
) -> None:
    world.write(repos, world.make(repos, job_id="job-1"))
    relay = make_relay(settings, database)
    redis_server.stop()
    _emit(repos, "video.attention.ready")
    relay.drain()
    (waiting,) = Deliveries(database).listed("open", endpoint_id=PUBSUB_ID)
    assert "Redis did not take it" in (waiting.last_error or "")
    redis_server.start()
    database.commit(lambda c: c.execute("UPDATE delivery_streams SET next_attempt_at = now()").rowcount)
    relay.drain()
    assert not Deliveries(database).listed("open", endpoint_id=PUBSUB_ID)


def test_without_the_setting_nothing_is_published(database: Database, settings: Settings) -> None:
    endpoints = Endpoints(database)
    make_relay(settings, database)
    assert endpoints.get(str(PUBSUB_ID)).enabled
    make_relay(settings.model_copy(update={"attention_redis_channel": ""}), database)
    assert not endpoints.get(str(PUBSUB_ID)).enabled
