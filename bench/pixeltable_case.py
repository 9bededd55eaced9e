"""The plain script's method in pixeltable: tables, a view of frames, an embedding index, computed columns.

usage: pixeltable_case.py CASE_DIR OUT.csv [--topk K]

`bench_pipeline.py` runs it with a Python of its own that has pixeltable and OpenCV. One frame a second, SIFT
at 640 pixels, ratio test, RANSAC homography, the K candidates most alike by a grey thumbnail and an HSV
histogram. pixeltable has no verb for two sets of keypoints: that is a function (`pixeltable_functions.py`).
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

HOME = Path(tempfile.mkdtemp(prefix="pixeltable-"))
# It is read when pixeltable is imported.
os.environ["PIXELTABLE_HOME"] = str(HOME)

import pixeltable as pxt  # noqa: E402
import pixeltable_functions as own  # noqa: E402
from pixeltable.functions.video import frame_iterator  # noqa: E402


def run(case: Path, topk: int) -> dict[tuple[str, str], tuple[float, float]]:
    """The best score of each product and video, and its second."""
    products = pxt.create_table("products", {"product": pxt.String, "image": pxt.Image})
    with (case / "products.csv").open(newline="", encoding="utf-8") as file:
        rows = [{"product": r["product_id"], "image": str(case / r["image"])} for r in csv.DictReader(file)]
    products.add_computed_column(points=own.keypoints(products.image))
    products.add_embedding_index("image", embedding=own.look)
    products.insert(rows)
    for row in products.select(products.product, products.points).collect():
        own.PRODUCTS[row["product"]] = own.loaded(row["points"])

    @pxt.query
    def most_alike(frame: pxt.Image):  # type: ignore[no-untyped-def]
        alike = products.image.similarity(image=frame)
        return products.order_by(alike, asc=False).limit(topk).select(products.product)

    videos = pxt.create_table("videos", {"video": pxt.Video, "name": pxt.String})
    frames = pxt.create_view("frames", videos, iterator=frame_iterator(videos.video, fps=1))
    frames.add_computed_column(points=own.keypoints(frames.frame))
    frames.add_computed_column(candidates=most_alike(frames.frame))
    frames.add_computed_column(found=own.scores(frames.points, frames.candidates))
    clips = sorted((case / "videos").iterdir())
    videos.insert([{"video": str(clip), "name": clip.stem} for clip in clips])
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for row in frames.select(frames.name, frames.frame_attrs, frames.found).collect():
        for product, count in row["found"].items():
            score = min(1.0, count / 18.75)
            if score > best.get((product, row["name"]), (0.0, 0.0))[0]:
                best[product, row["name"]] = (score, row["frame_attrs"]["time"])
    return best


def stop_server() -> None:
    """Stops the database server that pixeltable leaves running, and deletes what it stored."""
    pid = int((HOME / "pgdata" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
    os.kill(pid, signal.SIGINT)
    while (HOME / "pgdata" / "postmaster.pid").exists():
        time.sleep(0.05)
    shutil.rmtree(HOME)


def main() -> None:
    """Measured from outside: prints nothing of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("case", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--topk", type=int, default=20)
    given = parser.parse_args()
    best = run(given.case.resolve(), given.topk)
    with given.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("product", "video", "score", "ts"))
        writer.writerows((p, v, f"{s:.3f}", f"{t:.2f}") for (p, v), (s, t) in best.items())
    stop_server()


if __name__ == "__main__":
    main()
