"""Every stream that runs on this machine, as a fixture."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.streams.base import Stream
from pvm_resources.streams.nats_jetstream import NatsStream
from pvm_resources.streams.postgres import PostgresStream
from pvm_resources.streams.rabbitmq import RabbitStream
from pvm_resources.streams.redis_streams import RedisStream, connect
from pvm_resources.streams.supabase import SupabaseStream
from pvm_resources.streams.supabase import connect as supabase_client
from tests.pvm_resources.broker import Broker
from tests.pvm_resources.streams.servers import NatsServer, RedisServer
from tests.standins.supabase_queues import SupabaseQueues

#: Opens a connection to one stream, given seconds after which what is held is another's.
Opened = Callable[[float], Stream]
_numbers = itertools.count()


@pytest.fixture
def media(tmp_path: Path) -> MediaStore:
    """A media store of the test's own."""
    return MediaStore(str(tmp_path / "media"))


def opener(kind: str, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """What opens a stream of a kind; the stream is new."""
    key = f"product:updates:{next(_numbers)}"
    if kind == "postgres":
        database: Database = request.getfixturevalue("database")
        yield lambda claim: PostgresStream(database, key, claim)
    elif kind in ("redis", "redis in partitions"):
        redis: RedisServer = request.getfixturevalue("redis_server")
        parts = 3 if "partitions" in kind else 1
        yield lambda claim: RedisStream(
            connect("127.0.0.1", redis.port, 0), key, partitions=parts, claim_s=claim
        )
    elif kind == "rabbitmq":
        broker: Broker = request.getfixturevalue("broker")
        yield lambda claim: RabbitStream(broker.url, key, claim)
    elif kind == "nats":
        nats: NatsServer = request.getfixturevalue("nats_server")
        yield lambda claim: NatsStream(nats.url, key, claim_s=claim)
    else:
        with SupabaseQueues() as project:
            yield lambda claim: SupabaseStream(
                supabase_client(project.url, project.key, "pgmq_public"), key, claim
            )


@pytest.fixture(params=["postgres", "redis", "redis in partitions", "rabbitmq", "nats", "supabase"])
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Streams of one kind."""
    yield from opener(request.param, request)
