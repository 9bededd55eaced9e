"""A picture server that misbehaves on demand, and fetchers that may reach it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest

from pvm_resources.http import PICTURE, AllowList, Fetcher
from pvm_resources.http.retry import RetryPolicy
from tests.standins.pictures import PictureServer

#: Small and quick, so that limits are met within a test.
SMALL = replace(PICTURE, max_bytes=60_000, connect_s=0.5, read_s=0.4, total_s=0.8)
HASTY = RetryPolicy(first_wait_s=0.01, max_wait_s=0.02, max_retry_after_s=0.5)

MakeFetcher = Callable[..., Fetcher]


@pytest.fixture(scope="session")
def certificates() -> ssl.SSLContext:
    """Those of the machine, read once."""
    return httpx.create_ssl_context()


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as served:
        yield served


@pytest.fixture
def make_fetcher(server: PictureServer, certificates: ssl.SSLContext) -> MakeFetcher:
    """Fetchers that may ask the server under its address and under any name; every name leads to it."""

    def make(**given: object) -> Fetcher:
        known = {
            "limits": SMALL,
            "allow": AllowList.parse(f"127.0.0.1:{server.port}"),
            "retries": HASTY,
            "resolver": lambda host, port: ["127.0.0.1"],
            "verify": certificates,
        }
        return Fetcher(**{**known, **given})  # type: ignore[arg-type]

    return make
