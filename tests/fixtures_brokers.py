"""Redis, NATS and RabbitMQ of a worker's own, started where a test first asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pvm_resources.broker import Broker
from tests.pvm_resources.streams.servers import NatsServer, RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running Redis. Who stops it starts it again."""
    found = RedisServer(tmp_path_factory.mktemp("redis"))
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A running NATS. Who stops it starts it again."""
    found = NatsServer(tmp_path_factory.mktemp("nats"))
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A running RabbitMQ. Who stops it starts it again."""
    found = Broker(tmp_path_factory.mktemp("rabbitmq"))
    found.start()
    yield found
    found.close()
