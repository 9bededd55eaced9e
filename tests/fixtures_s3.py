"""A real server that speaks S3 (moto's), in this process, with one bucket."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from moto.server import ThreadedMotoServer


@dataclass(frozen=True)
class Bucket:
    """A bucket of the running server.

    Attributes:
        url: ``s3://name``.
        name: of the bucket.
        server: the server, to be stopped and started by tests of what is out of reach.
    """

    url: str
    name: str
    server: ThreadedMotoServer

    def overwrite(self, key: str, data: bytes) -> None:
        """Changes stored bytes behind the server's back: the checksum stays."""
        stored = _backend().buckets[self.name].keys[key]
        stored._value_buffer.seek(0)
        stored._value_buffer.write(data)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket whose server and credentials this process's environment names."""
    import s3fs
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    # The client of the test before has another address.
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("media")
    yield Bucket("s3://media", "media", server)
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()
    _backend().reset()


def _backend() -> Any:
    from moto.s3.models import s3_backends

    return s3_backends["123456789012"]["aws"]
