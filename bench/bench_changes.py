"""How fast changes of products are applied, durably, and how fast what looks alike is found.

    python bench/bench_changes.py [--changes 4000] [--products 20000]

On an embedded server of its own with durability on: changes in batches of 500, one by one from eight writers,
the same with the vectors of words that follow them, then searches among products of one vector each (256
numbers, random but for groups of eight).
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
import uuid
from decimal import Decimal
from pathlib import Path

import numpy as np

from pvm_core import ids
from pvm_resources.living_catalogue import LivingCatalogue
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres import migrate
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.settings import load_settings
from pvm_resources.similar_products import similar_products
from pvm_resources.store.assembly import Store
from pvm_resources.store.product_queries import ProductFilter
from pvm_resources.store.records import Embedding, Image, Model, Product
from pvm_resources.text_follower import TextFollower
from pvm_resources.text_index import TextIndex

DIM = 256


def changes(count: int, name: str) -> list[dict[str, object]]:
    """A create of every product, then updates of one field each."""
    made = [
        {"event_type": "create", "product_id": f"{name}{n}", "version": 1,
         "data": {"name": f"Pillow {n}", "category": f"C{n % 10}", "price": f"{n % 90 + 1} USD"}}
        for n in range(count // 2)
    ]  # fmt: skip
    return made + [
        {"event_type": "update", "product_id": f"{name}{n}", "version": 2, "data": {"price": f"{n % 80 + 2}"}}
        for n in range(count - count // 2)
    ]


def batched(catalogue: LivingCatalogue, events: list[dict[str, object]]) -> float:
    """Changes a second in batches of 500."""
    began = time.perf_counter()
    for start in range(0, len(events), 500):
        catalogue.take(events[start : start + 500])
    return len(events) / (time.perf_counter() - began)


def singly(
    catalogue: LivingCatalogue, events: list[dict[str, object]], writers: int = 8
) -> tuple[float, float]:
    """Changes a second one by one, and the 99th percentile of one, ms."""
    taken: list[float] = []

    def write(mine: list[dict[str, object]]) -> None:
        for event in mine:
            at = time.perf_counter()
            catalogue.take([event])
            taken.append(1000 * (time.perf_counter() - at))

    threads = [threading.Thread(target=write, args=(events[n::writers],)) for n in range(writers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(events) / (time.perf_counter() - began), float(np.percentile(taken, 99))


def followed(store: Store, media: MediaStore, count: int) -> list[str]:
    """Creates in batches and new names one by one, with the vectors of words that follow."""
    follower = TextFollower(TextIndex(store, load_settings()))
    catalogue = LivingCatalogue(store, media, None, follower)
    creates = [
        {"event_type": "create", "product_id": f"w{n}", "version": 1,
         "data": {"name": f"Pillow of kind {n % 977} in grey {n}", "category": f"C{n % 10}"}}
        for n in range(count)
    ]  # fmt: skip
    renamed = [
        {"event_type": "update", "product_id": f"w{n}", "version": 2, "data": {"name": f"Cushion {n}"}}
        for n in range(count // 4)
    ]
    began = time.perf_counter()
    rate = batched(catalogue, creates)
    follower.wait(600)
    until = len(creates) / (time.perf_counter() - began)
    said = [f"creates in batches: {rate:,.0f}/s answered, {until:,.0f}/s searchable"]
    began = time.perf_counter()
    rate, p99 = singly(catalogue, renamed)
    follower.wait(600)
    until = len(renamed) / (time.perf_counter() - began)
    follower.close()
    return [
        *said,
        f"new names, 8 writers: {rate:,.0f}/s answered (p99 {p99:.1f} ms), {until:,.0f}/s searchable",
    ]


def searched(store: Store, products: int, queries: int = 100) -> list[tuple[str, float, float]]:
    """Name, median and 99th percentile, ms, of searches without and with filters."""
    rng = np.random.default_rng(1)
    store.industries.ensure("shop")
    job = store.jobs.create("shop", {"products": "p.csv", "videos": "v"}, "bench").job_id
    rows = [
        Product(ids.product_id("shop", str(n)), "file", "shop", str(n), f"Pillow {n}", price=str(n % 90 + 1),
                currency="USD", category=f"C{n % 10}", availability="in_stock")
        for n in range(products)
    ]  # fmt: skip
    store.catalogue.set_products(job, rows)
    images = [
        Image(
            uuid.uuid4(),
            row.product_id,
            f"{n:064x}",
            f"products/{n}.jpg",
            "p",
            9,
            9,
            int(rng.integers(1 << 62)),
        )
        for n, row in enumerate(rows)
    ]
    store.catalogue.write_images(job, images)
    model = Model("bench", "bench", "embedder", DIM, active=True)
    store.features.register_model(model)
    centres = rng.normal(size=(products // 8 + 1, DIM))
    vectors = centres[np.arange(products) // 8] + 0.5 * rng.normal(size=(products, DIM))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    for start in range(0, products, 2_000):
        part = list(zip(images, vectors, strict=True))[start : start + 2_000]
        store.features.write(
            "embeddings", [Embedding(i.img_id, "product", "bench", "bench", 0, v) for i, v in part]
        )
    with store.database.transaction() as cursor:
        cursor.execute("ANALYZE")
    found = []
    asked = rng.integers(0, products, queries)
    filters = {
        "no filter": ProductFilter(), "category": ProductFilter(category="C3"),
        "price and stock": ProductFilter(price_max=Decimal(9), availability=("in_stock",)),
    }  # fmt: skip
    for name, wanted in filters.items():
        times = []
        for n in asked:
            at = time.perf_counter()
            similar_products(store, model, rows[int(n)].product_id, wanted)
            times.append(1000 * (time.perf_counter() - at))
        found.append((name, float(np.median(times)), float(np.percentile(times, 99))))
    return found


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=4_000)
    parser.add_argument("--products", type=int, default=20_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder) / "home")
        server.up()
        try:
            url = server.uri("pvm")
            migrate.upgrade(url)
            with Database(url) as database:
                store = Store.over(database)
                catalogue = LivingCatalogue(store, MediaStore(str(Path(folder) / "media")))
                print(f"batches of 500: {batched(catalogue, changes(given.changes, 'a')):,.0f} changes/s")
                rate, p99 = singly(catalogue, changes(given.changes // 4, "b"))
                print(f"one by one, 8 writers: {rate:,.0f} changes/s, p99 {p99:.1f} ms")
                for line in followed(store, MediaStore(str(Path(folder) / "media")), given.changes):
                    print(line)
                for name, median, high in searched(store, given.products):
                    print(f"alike among {given.products:,}, {name}: p50 {median:.1f} ms, p99 {high:.1f} ms")
        finally:
            server.down()


if __name__ == "__main__":
    main()
