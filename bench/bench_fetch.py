"""What fetching pictures costs: pictures per second and memory, alone and with all that follows.

    python bench/bench_fetch.py [--pictures 1000] [--side 1000] [--workers 2]

Distinct JPEGs of 200 kB are generated and served by a local server, a process of its own that shares the
cores. First `Fetcher.fetch_many` alone; then with `store_picture` in worker processes, as a job does it:
decoded, scaled to 1024, encoded, written to a media store. Memory and CPU are those of this process and its
workers; memory is sampled 20 times a second, as resident sets added up and with shared pages counted once
(PSS). The server's is not counted, it stands for the net.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from pvm_assets.work import given
from pvm_assets.work.pictures import store_picture
from pvm_resources.http import AllowList, Fetched, Fetcher
from pvm_resources.media.store import MediaStore
from pvm_resources.process_pool import WorkPool
from pvm_resources.store.galleries import GalleryPicture

SERVER = Path(__file__).parents[1] / "tests" / "standins" / "pictures.py"
#: Bytes of each picture.
SIZE = 200_000


def draw(folder: Path, count: int, side: int) -> None:
    """Distinct JPEGs of `SIZE` bytes: noise shaped to it, the rest in comments."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (side // 6, side // 6, 3), dtype=np.uint8)
    ground = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    quality = max(q for q in range(10, 96, 5) if len(encoded(ground, q)) < SIZE - 20_000)
    for n in range(count):
        picture = np.roll(ground, 7 * n, axis=1)
        cv2.putText(picture, str(n), (20, side // 2), cv2.FONT_HERSHEY_SIMPLEX, 5, (0, 0, 255), 12)
        (folder / f"{n}.jpg").write_bytes(filled(encoded(picture, quality)))


def encoded(picture: np.ndarray, quality: int) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def filled(jpeg: bytes) -> bytes:
    """The JPEG with comment segments (FF FE) that bring it to `SIZE` bytes."""
    left, comments = SIZE - len(jpeg), b""
    while left > 4:
        size = min(left - 2, 65_535)
        comments += b"\xff\xfe" + size.to_bytes(2, "big") + bytes(size - 2)
        left -= size + 2
    return jpeg[:2] + comments + jpeg[2:]


@dataclass
class Memory:
    """The most that this process and `workers` hold, in MB."""

    workers: list[int]
    resident: float = 0.0
    own: float = 0.0

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        known = [psutil.Process(pid) for pid in (os.getpid(), *self.workers)]
        while not self._over.wait(0.05):
            infos = [process.memory_full_info() for process in known]
            self.resident = max(self.resident, sum(info.rss for info in infos) / 1e6)
            self.own = max(self.own, sum(info.pss for info in infos) / 1e6)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def fetch_alone(fetcher: Fetcher, urls: list[str]) -> int:
    """How many came."""
    return sum(isinstance(answer, Fetched) for _, answer in fetcher.fetch_many(urls))


def fetch_and_store(fetcher: Fetcher, urls: list[str], pool: WorkPool, media: Path) -> int:
    """How many were stored."""
    product = uuid.uuid4()
    tasks = [GalleryPicture(product, n, url, None) for n, url in enumerate(urls)]

    def with_bytes() -> Iterator[GalleryPicture]:
        for task, answer in fetcher.fetch_many(tasks):
            if isinstance(answer, Fetched):
                yield replace(task, data=answer.data)

    setup = partial(given, MediaStore(str(media)))
    return sum(done.error is None for done in pool.map(store_picture, with_bytes(), setup))


def measured(table: Table, workers: list[int], name: str, urls: list[str], run: Callable[[], int]) -> None:
    cpu = cpu_seconds(workers)
    start = time.perf_counter()
    with Memory(workers) as memory:
        came = run()
    seconds = time.perf_counter() - start
    spent = cpu_seconds(workers) - cpu
    rate = f"{came / seconds:,.0f}/s"
    table.add_row(
        name, f"{came:,} of {len(urls):,}", f"{seconds:.1f} s", rate, f"{1000 * spent / came:.1f} ms",
        f"{memory.resident:,.0f} MB", f"{memory.own:,.0f} MB",
    )  # fmt: skip


def cpu_seconds(workers: list[int]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in (os.getpid(), *workers)]
    return sum(t.user + t.system for t in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=1_000)
    parser.add_argument("--side", type=int, default=1_000, help="width and height in pixels")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder, given.pictures, given.side)
        server = subprocess.Popen(
            [sys.executable, str(SERVER), str(folder)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            run(given, server.stdout.readline().strip(), folder)
        finally:
            server.kill()
            server.wait()


def run(given: argparse.Namespace, address: str, folder: Path) -> None:
    urls = [f"{address}/{n}.jpg" for n in range(given.pictures)]
    fetcher = Fetcher(allow=AllowList.parse(address.removeprefix("http://")))
    table = Table(title=f"{given.pictures:,} JPEGs, {SIZE:,} bytes, {given.side} x {given.side} pixels")
    for column in ("", "pictures", "time", "rate", "CPU each", "RSS", "PSS"):
        table.add_column(column, justify="left" if not column else "right")
    measured(table, [], "fetch", urls, lambda: fetch_alone(fetcher, urls))
    with WorkPool(given.workers) as pool:
        # The processes start and import before the clock does, as in a job's earlier steps.
        warm = fetch_and_store(fetcher, urls[: 2 * given.workers], pool, folder / "warm")
        assert warm == 2 * given.workers
        measured(
            table, pool.pids, f"fetch, decode, scale, store ({given.workers} workers)", urls,
            lambda: fetch_and_store(fetcher, urls, pool, folder / "media"),
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
