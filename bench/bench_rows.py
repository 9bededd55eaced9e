"""What a keyframe costs after its features are there: rows stored, candidates found, pairs kept and read.

    python bench/bench_rows.py --frames 50000 [--candidates 20]

Synthetic frames and vectors (two views of 640 numbers each) against 200 product pictures, in an embedded
database of its own; no picture is decoded. CPU is of this process and of the server; memory is this process's
peak so far.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tree_cpu import tree_cpu

from pvm_core import ids
from pvm_core.retrieval import Gallery, first_rows, ranked, search
from pvm_resources.postgres import migrate
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.store.assembly import Store
from pvm_resources.store.records import (
    Candidate,
    Embedding,
    Frame,
    Image,
    JobVideo,
    KeyframeSet,
    Kind,
    Model,
    PairEvidenceRow,
    Product,
    Video,
)

JOB: Final = "bench"
KEY: Final = "e1"
DIMENSION: Final = 640
PRODUCTS: Final = 50
FRAMES_OF_A_VIDEO: Final = 250
_BATCH: Final = 512
#: As large as a real pair's measurements.
_RAW: Final = {f"measure_{n}": 0.123456 * n for n in range(16)}


class Rows:
    """The job's rows, made batch by batch: nothing is held for the whole job but ids."""

    def __init__(self, store: Store, frames: int, candidates: int) -> None:
        self._store = store
        self._frames = frames
        self._k = candidates
        self._rng = np.random.default_rng(1)

    def begin(self) -> None:
        """Products, their pictures and vectors, and videos."""
        store = self._store
        slug = store.industries.ensure(JOB).slug
        store.jobs.create(slug, {}, JOB)
        store.jobs.set_running(JOB, "run")
        store.jobs.set_keys(JOB, embed_model="bench", keyframes="k1", embeddings=KEY, verify="v1")
        names = [f"p{n}" for n in range(PRODUCTS)]
        products = [Product(ids.product_id(slug, name), "file", slug, name, name, "B", "u") for name in names]
        store.catalogue.set_products(JOB, products)
        images = [
            Image(ids.image_id(p.product_id, f"{n:064x}"), p.product_id, f"{n:064x}", f"products/{n}.jpg",
                  f"{n}.jpg", 100, 80, n, n % 4)
            for n, p in enumerate(p for p in products for _ in range(4))
        ]  # fmt: skip
        store.catalogue.write_images(JOB, images)
        store.features.register_model(Model(KEY, "bench", "embedder", DIMENSION, {}, active=True))
        store.features.write("embeddings", self._vectors("product", [image.img_id for image in images]))

    def store_frames(self) -> None:
        """Videos with their frames, and the frames' vectors."""
        count = -(-self._frames // FRAMES_OF_A_VIDEO)
        videos = [
            Video(ids.video_id(f"{n:064x}"), f"{n:064x}", "folder", duration_s=250.0) for n in range(count)
        ]
        members = [JobVideo(f"c{n}", v.video_id, f"/c{n}.mp4", 1_000, 5.0, n) for n, v in enumerate(videos)]
        self._store.videos.set_videos(JOB, videos, members)
        for place, video in enumerate(videos):
            some = min(FRAMES_OF_A_VIDEO, self._frames - place * FRAMES_OF_A_VIDEO)
            frames = [
                Frame(ids.frame_id(video.video_id, "k1", 1_000 * n), video.video_id, "k1", float(n), "kept",
                      n, f"videos/{video.video_id}/{n}.jpg", 640, 360, 1.5, n)
                for n in range(some)
            ]  # fmt: skip
            self._store.videos.write_frames(frames, [KeyframeSet(video.video_id, "k1", some, 0)])
            self._store.features.write("embeddings", self._vectors("frame", [f.frame_id for f in frames]))

    def find_candidates(self) -> None:
        """As the asset `candidate_pairs` does it."""
        parts = list(self._store.features.iter_embeddings(JOB, "product", KEY))
        owners = [owner for part in parts for owner in part.ids]
        starts = first_rows(owners)
        gallery = Gallery(starts, np.concatenate([part.rgb for part in parts]), None)
        images = [owners[n] for n in starts]
        for batch in self._store.features.iter_embeddings(JOB, "frame", KEY, _BATCH):
            frames = list(dict.fromkeys(batch.ids))
            nearest = search(gallery, first_rows(batch.ids), batch.rgb, batch.gray, self._k)
            found = (Candidate(frames[f], images[i], *rest) for f, i, *rest in ranked(nearest))
            self._store.matching.write_candidates(JOB, frames, found)

    def keep_pairs(self) -> None:
        """What is not compared yet is looked up, and measurements are written."""
        pairs = self._store.matching.missing_evidence(JOB, "v1")
        while some := list(islice(pairs, _BATCH * self._k)):
            self._store.matching.write_evidence(
                PairEvidenceRow(pair.frame_id, pair.img_id, "v1", _RAW) for pair in some
            )

    def read_pairs(self) -> None:
        """All pairs with their measurements, as scoring streams them."""
        read = sum(1 for _ in self._store.matching.evidence(JOB, "v1"))
        if read != self._frames * self._k:
            raise SystemExit(f"{read} pairs were read")

    def resume(self) -> None:
        """The same job again: nothing is left to be compared."""
        if next(self._store.matching.missing_evidence(JOB, "v1"), None) is not None:
            raise SystemExit("a pair would be compared again")

    def _vectors(self, kind: Kind, items: Sequence[uuid.UUID]) -> Iterator[Embedding]:
        made: NDArray[np.float32] = self._rng.normal(size=(2 * len(items), DIMENSION)).astype(np.float32)
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        for n, item in enumerate(items):
            for view in range(2):
                yield Embedding(item, kind, KEY, "bench", view, made[2 * n + view])


def main() -> None:
    """Prints a line a stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--frames", type=int, default=5_000)
    parser.add_argument("--candidates", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        server = EmbeddedServer(home, durable=False)
        server.up()
        try:
            migrate.upgrade(server.uri("pvm"))
            pid = int(next(home.glob("**/postmaster.pid")).read_text(encoding="utf-8").splitlines()[0])
            with Database(server.uri("pvm")) as database:
                rows = Rows(Store.over(database), given.frames, given.candidates)
                rows.begin()
                for stage in (
                    rows.store_frames, rows.find_candidates, rows.keep_pairs, rows.read_pairs, rows.resume
                ):  # fmt: skip
                    _timed(stage, given.frames, pid)
        finally:
            server.down()


def _timed(stage: Callable[[], None], frames: int, server: int) -> None:
    began, ours, theirs = time.perf_counter(), time.process_time(), tree_cpu(server)
    stage()
    took, ours = time.perf_counter() - began, time.process_time() - ours
    theirs = tree_cpu(server) - theirs
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cost = f"a frame {1e3 * ours / frames:.2f} + {1e3 * theirs / frames:.2f} ms of CPU (here + server)"
    print(f"{stage.__name__:<16} {took:7.1f} s; {cost}, peak {peak:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
