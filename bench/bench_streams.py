"""How fast changes are published and reach the catalogue by a stream, and become searchable.

    python bench/bench_streams.py [--changes 2000] [--kinds postgres,redis,nats]

On an embedded PostgreSQL of its own with durability on; Redis (every change written to its file before it
answers) and NATS JetStream where their servers are installed. End to end: a created product is published,
read, its row committed and its vector stored, so that a search finds it; the vector itself (384 numbers) is
made of random numbers and costs nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pvm_core.errors import InputError
from pvm_resources.living_catalogue import LivingCatalogue
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres import migrate
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store
from pvm_resources.streams.factory import catalogue_handler, get_event_processor
from pvm_resources.streams.processor import ProductEventProcessor
from pvm_resources.vectors.base import DIMENSION, ProductEmbedding
from pvm_resources.vectors.pgvector import PgVectorStore


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(kind: str, folder: Path) -> Iterator[Settings | None]:
    """A server of the stream and the settings that name it; None where it is not installed."""
    if kind == "postgres":
        yield Settings()
        return
    port, program = free_port(), {"redis": "redis-server", "nats": "nats-server"}[kind]
    found = shutil.which(program, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    if found is None:
        yield None
        return
    (folder / kind).mkdir()
    own = str(folder / kind)
    arguments = {
        "redis": ["--port", str(port), "--dir", own, "--appendonly", "yes", "--appendfsync", "always"],
        "nats": ["-a", "127.0.0.1", "-p", str(port), "-js", "-sd", own],
    }[kind]
    with subprocess.Popen(
        [found, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        time.sleep(1)
        named: dict[str, Any] = {
            "PRODUCT_STREAM_TYPE": kind, "REDIS_HOST": "127.0.0.1", "REDIS_PORT": port,
            "NATS_URL": f"nats://127.0.0.1:{port}",
        }  # fmt: skip
        yield Settings(**named)
        process.terminate()


def synced(folder: Path) -> float:
    """Median time in which the disk keeps a page, ms: what a durable publish costs at least."""
    taken = []
    with (folder / "synced").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(bytes(4_096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(1_000 * (time.perf_counter() - began))
    return float(np.median(taken))


def published(processor: ProductEventProcessor, name: str, count: int) -> tuple[float, float]:
    """Median and 99th percentile of a publish, ms."""
    taken = []
    for n in range(count):
        data = {
            "id": f"{name}{n}", "name": f"Ergonomic pillow {n}", "category": f"C{n % 10}",
            "description": "Memory foam, washable cover, for side sleepers", "price": f"{n % 90 + 1}",
        }  # fmt: skip
        began = time.perf_counter()
        if processor.publish_product_created(data) is None:
            raise SystemExit("the stream did not take a change")
        taken.append(1_000 * (time.perf_counter() - began))
    return float(np.median(taken)), float(np.percentile(taken, 99))


def consumed(processor: ProductEventProcessor, database: Database, count: int, consumers: int) -> float:
    """Changes a second from the stream into the catalogue, vectors included where the handler stores them."""
    before = database.value("SELECT count(*) FROM products")
    began = time.perf_counter()
    for _ in range(consumers):
        processor.start_consumer()
    while database.value("SELECT count(*) FROM products") < before + count:
        time.sleep(0.02)
    taken = time.perf_counter() - began
    processor.stop_consumer()
    return count / taken


def searchable(catalogue: LivingCatalogue, vectors: PgVectorStore) -> Any:
    """A handler that applies changes and stores a vector of each product."""
    apply = catalogue_handler(catalogue)
    rng = np.random.default_rng(0)

    def handle(events: Sequence[Mapping[str, Any]]) -> Sequence[InputError | None]:
        results = apply(events)
        made = rng.normal(size=(len(events), DIMENSION)).astype(np.float32)
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        vectors.store_product_embeddings([
            ProductEmbedding(catalogue.identify(str(event["product_id"]))[0], vector)
            for event, vector, error in zip(events, made, results, strict=True) if error is None
        ])  # fmt: skip
        return results

    return handle


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=2_000)
    parser.add_argument("--kinds", default="postgres,redis,nats")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        server = EmbeddedServer(folder / "home")
        server.up()
        try:
            migrate.upgrade(server.uri("pvm"))
            load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
            print(f"load {load}; a page is on the disk in {synced(folder):.2f} ms")
            for kind in given.kinds.split(","):
                with (
                    Database(server.uri("pvm"), max_connections=20) as database,
                    served(kind, folder) as chosen,
                ):
                    if chosen is None:
                        print(f"{kind}: not installed")
                        continue
                    _measure(kind, chosen, database, folder, given.changes)
        finally:
            server.down()


def _measure(kind: str, chosen: Settings, database: Database, folder: Path, count: int) -> None:
    catalogue = LivingCatalogue(Store.over(database), MediaStore(str(folder / "media")))
    processor = get_event_processor(chosen, database)
    processor.set_event_handler(catalogue_handler(catalogue))
    median, high = published(processor, f"{kind} a", count)
    print(f"{kind}: publish p50 {median:.2f} ms, p99 {high:.2f} ms")
    print(f"{kind}: into the catalogue, 1 consumer: {consumed(processor, database, count, 1):,.0f} changes/s")
    published(processor, f"{kind} b", count)
    print(
        f"{kind}: into the catalogue, 4 consumers: {consumed(processor, database, count, 4):,.0f} changes/s"
    )
    processor.set_event_handler(searchable(catalogue, PgVectorStore(database, "bench")))
    published(processor, f"{kind} c", count)
    print(f"{kind}: to searchable, 4 consumers: {consumed(processor, database, count, 4):,.0f} products/s")
    processor.close()


if __name__ == "__main__":
    main()
