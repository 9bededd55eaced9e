"""Retrieval recall and cost of an embedder on real photos.

    python bench/bench_embedders.py [--shared ../shared] [--embedder classic] [--models data/models]

Queries are scenes of photos/<set> and frames of cases/dev; the gallery is every reference of the set ("own")
or of all sets ("pool"). A product's similarity is the greatest cosine over the frame's views, rgb and gray.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from pvm_core.embedders import Embedder, EmbedInput, Views, load_embedder
from pvm_core.masks import load_segmenter

SETS = ("dvd_covers", "grocery", "objects")
KS = (1, 5, 10, 20)


@dataclass(frozen=True)
class Query:
    """A scene or frame (its views) and the product it shows."""

    group: str
    product: str
    views: Views


def read(path: Path) -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def gallery(shared: Path) -> list[tuple[str, str, np.ndarray]]:
    """(set, product, picture) of every reference."""
    return [
        (name, f"{name}-{path.stem}", read(path))
        for name in SETS
        for path in sorted((shared / "photos" / name / "reference").glob("*.jpg"))
    ]


def scenes(shared: Path) -> Iterator[tuple[str, str, np.ndarray]]:
    for name in SETS:
        with (shared / "photos" / name / "pairs.csv").open() as rows:
            for row in csv.DictReader(rows):
                product = f"{name}-{Path(row['reference']).stem}"
                yield name, product, read(shared / "photos" / name / row["scene"])


def case_frames(case: Path) -> Iterator[tuple[str, str, np.ndarray]]:
    """Two frames of each true interval, at 30 % and 70 % of it."""
    wanted: dict[str, list[tuple[float, str]]] = {}
    with (case / "truth.csv").open() as rows:
        for row in csv.DictReader(rows):
            start, end = float(row["start_s"]), float(row["end_s"])
            times = [(start + (end - start) * share, row["product_id"]) for share in (0.3, 0.7)]
            wanted.setdefault(row["video_id"], []).extend(times)
    for video, times in sorted(wanted.items()):
        queue = sorted(times)
        with av.open(str(case / "videos" / f"{video}.mp4")) as container:
            for frame in container.decode(video=0):
                while queue and frame.time >= queue[0][0]:
                    yield "dev case", queue.pop(0)[1], frame.to_ndarray(format="rgb24")


def cpu(call: object, *args: object) -> tuple[object, float]:
    start = time.process_time()
    result = call(*args)  # type: ignore[operator]
    return result, time.process_time() - start


def similarity(queries: list[Query], products: list[Views], channel: str, whole: bool) -> np.ndarray:
    """(queries, products): greatest cosine over views, of "rgb", "gray" or the greater of both ("max")."""
    if channel == "max":
        parts = (similarity(queries, products, c, whole) for c in ("rgb", "gray"))
        return np.maximum(*parts)
    table = np.concatenate([getattr(p, channel) for p in products])
    cut = 1 if whole else None
    return np.stack([(getattr(q.views, channel)[:cut] @ table.T).max(axis=0) for q in queries])


def report(title: str, sims: np.ndarray, queries: list[Query], names: list[tuple[str, str]]) -> None:
    cells = []
    for group in (*SETS, "dev case"):
        rows = [i for i, q in enumerate(queries) if q.group == group]
        if not rows:
            continue
        for scope in ("own", "pool") if group in SETS else ("pool",):
            columns = [j for j, (s, _) in enumerate(names) if scope == "pool" or s == group]
            ranks = []
            for i in rows:
                true = next(j for j, (_, product) in enumerate(names) if product == queries[i].product)
                ranks.append(int((sims[i, columns] > sims[i, true]).sum()))
            found = " ".join(f"{100 * np.mean(np.array(ranks) < k):5.1f}" for k in KS)
            cells.append(f"{group[:10]:>10} {scope:<4} {found}")
    print(f"{title}\n  " + "\n  ".join(cells), flush=True)


def embed_all(
    embedder: Embedder, items: list[tuple[str, str, np.ndarray]], masks: bool
) -> tuple[list[Views], float]:
    segmenter = load_segmenter("classic", None)
    inputs = [EmbedInput(rgb, segmenter.segment(rgb, "product").mask if masks else None) for *_, rgb in items]
    views, spent = cpu(embedder.embed_views, inputs, "product", True)
    return views, 1000 * spent / len(items)  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--embedder", default="classic")
    parser.add_argument("--models", type=Path, default=Path("data/models"))
    parser.add_argument("--frame-masks", action="store_true", help="mask frames and scenes too")
    parser.add_argument("--frames-only", action="store_true", help="only the dev case")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    embedder = load_embedder(arguments.embedder, arguments.models)
    segmenter = load_segmenter("classic", None)
    items = gallery(arguments.shared)
    names = [(group, product) for group, product, _ in items]
    masked, ms = embed_all(embedder, items, masks=True)
    bare, _ = embed_all(embedder, items, masks=False)
    print(f"{embedder.name} key {embedder.key} dim {embedder.dim}; product picture {ms:.1f} ms of one core")
    queries, spent = [], {}
    for source in (case_frames(arguments.shared / "cases" / "dev"), scenes(arguments.shared)):
        for group, product, rgb in source:
            mask = segmenter.segment(rgb, "frame").mask if arguments.frame_masks else None
            views, seconds = cpu(embedder.embed_views, [EmbedInput(rgb, mask)], "frame", True)
            queries.append(Query(group, product, views[0]))  # type: ignore[index]
            spent.setdefault(group, []).append(seconds)
        if arguments.frames_only:
            break
    print("frames, ms: " + ", ".join(f"{g} {1000 * np.mean(s):.1f}" for g, s in spent.items()))
    print(f"recall@{'/'.join(map(str, KS))}, %")
    for title, products, channel, whole in (
        ("views, max(rgb, gray), masked products", masked, "max", False),
        ("views, rgb only", masked, "rgb", False),
        ("views, gray only", masked, "gray", False),
        ("whole frame only", masked, "max", True),
        ("products without masks", bare, "max", False),
    ):
        report(title, similarity(queries, products, channel, whole), queries, names)


if __name__ == "__main__":
    main()
