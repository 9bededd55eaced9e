"""The whole job at two sizes: time per item and stage, keyframes a second, peak memory; beside plain loops.

usage: python bench/bench_pipeline.py [--keyframes 500 5000] [--folder build/bench]

A job runs as `pvm run` runs it: Dagster and worker processes, embedded PostgreSQL, embedder `classic`.
Memory is what the run worker and its children hold, PostgreSQL left out, sampled twice a second.
A plain loop calls the same functions over the stored files, one after the other in one process, without
Dagster, database or workers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
#: Items a plain loop is measured on.
_SAMPLE = 40
_STAGES = (
    "product_images",
    "keyframes",
    "masks",
    "embeddings",
    "keypoints",
    "candidate_pairs",
    "matches",
    "evidence",
)


@dataclass(frozen=True)
class Measured:
    """One run: seconds and items of each stage, wall clock of the whole, bytes at the peak."""

    stages: dict[str, tuple[float, int]]
    wall_s: float
    keyframes: int
    peak_bytes: int


def run_child(case: Path, home: Path) -> None:
    """Runs a job and prints what each stage took, as JSON; the work of the measured process."""
    os.environ["PVM_HOME"] = str(home)
    os.environ["EMBED_MODEL"] = "classic"
    from pvm_assets.execution.bootstrap import bootstrap
    from pvm_assets.execution.code_location import CodeLocation
    from pvm_assets.execution.runner import StepNews, run_job
    from pvm_resources.postgres.driver import Database
    from pvm_resources.settings import load_settings, project_root
    from pvm_resources.store.assembly import Store

    settings = load_settings()
    platform = bootstrap(settings)
    began: dict[str, float] = {}
    took: dict[str, float] = {}

    def note_time(news: StepNews) -> None:
        if news.kind == "STEP_START":
            began[news.step] = time.monotonic()
        elif news.kind == "STEP_SUCCESS":
            took[news.step] = time.monotonic() - began[news.step]

    with Database(platform.dsn) as database:
        repos = Store.over(database)
        slug = repos.industries.ensure("bench").slug
        request = {"products": str(case / "products.csv"), "videos": str(case / "videos")}
        job = repos.jobs.create(slug, request, "bench")
        location = CodeLocation.of_workspace(project_root() / "workspace.yaml")
        outcome = run_job(job.job_id, settings, location, note_time)
        items = {p.stage: p.done - p.reused for p in repos.state.progress(job.job_id)}
        counts = repos.jobs.counts(job.job_id)
    platform.close()
    answer = {
        "status": outcome.status,
        "error": outcome.error,
        "took": took,
        "items": items,
        "keyframes": counts.frames,
    }
    sys.stdout.write(json.dumps(answer, default=str) + "\n")


def measure(case: Path, home: Path) -> Measured:
    """Runs a job on `case` in a process of its own and watches its memory."""
    shutil.rmtree(home, ignore_errors=True)
    start = time.monotonic()
    command = [sys.executable, __file__, "--child", str(case), str(home)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, text=True
    ) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.5)
        answer = json.loads((process.stdout.read() if process.stdout else "").splitlines()[-1])
    if answer["status"] != "completed":
        raise SystemExit(f"the job {answer['status']}: {answer['error']}")
    stages = {name: (answer["took"][name], int(answer["items"].get(name, 0))) for name in _STAGES}
    return Measured(stages, time.monotonic() - start, answer["keyframes"], peak)


def resident(pid: int) -> int:
    """Bytes resident in the process and its children, PostgreSQL left out."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for one in (parent, *parent.children(recursive=True)):
            if "postgres" not in one.name():
                total += one.memory_info().rss
    except psutil.NoSuchProcess:
        return total
    return total


def plain_loops(case: Path, home: Path) -> dict[str, float]:
    """Seconds per item of each stage in a plain loop over the same functions."""
    os.environ["OPENCV_FOR_THREADS_NUM"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import uuid

    from pvm_assets.steps.embeddings import EmbeddingExtractor
    from pvm_assets.steps.keypoints import KeypointExtractor
    from pvm_assets.steps.masks import MaskExtractor
    from pvm_assets.work.decoded import decode
    from pvm_assets.work.frames import FrameWorkerState, cut_video
    from pvm_core.images import decode_picture, encode_jpeg, normalise
    from pvm_core.keyframes import KeyframeParams
    from pvm_core.keypoints import KeypointParams, detect
    from pvm_core.verification import VerifyParams, View, verify_frame
    from pvm_jobs.rules import resolve
    from pvm_resources.media.store import MediaStore
    from pvm_resources.store.records import Item, JobVideo

    rules, source = resolve(), MediaStore(str(home / "media"))
    media, models = MediaStore(str(home / "plain")), home / "models"
    frames = [Item(uuid.uuid4(), "frame", uuid.uuid4(), key, 0, 0) for key in _keys(source, "videos")]
    products = [Item(uuid.uuid4(), "product", uuid.uuid4(), key, 0, 0) for key in _keys(source, "products")]
    for item in (*frames, *products):
        media.put(item.local_path, source.get(item.local_path))
    found: dict[str, float] = {}
    pictures = list(islice(sorted((case / "images").iterdir()), _SAMPLE))
    found["product_images"] = _each(
        pictures, lambda p: encode_jpeg(normalise(decode_picture(p.read_bytes(), "x").rgb))
    )
    params = KeyframeParams.from_rules(rules)
    clip = min((case / "videos").glob("*.mp4"))
    video = JobVideo(clip.name, uuid.uuid4(), str(clip))
    start = time.monotonic()
    cut = cut_video(FrameWorkerState(media, params), video)
    found["keyframes"] = (time.monotonic() - start) / max(1, sum(f.status == "kept" for f in cut.frames))
    points = KeypointParams.from_rules(rules)
    extractors = {
        "masks": MaskExtractor.load(media, "classic", models),
        "embeddings": EmbeddingExtractor.load("classic", models, "plain", rules.grey_clahe),
        "keypoints": KeypointExtractor(media, points, "plain"),
    }
    for name, extractor in extractors.items():
        found[name] = _each(frames, lambda item, e=extractor: e.compute([decode(media, item)]))
    pictures = [decode(media, item).rgb for item in (*frames[:10], *products)]
    views = [View(detect(rgb, None, points), rgb) for rgb in pictures]
    verify = VerifyParams.from_rules(rules)
    found["matches"] = _each(
        views[:10], lambda v: verify_frame(v, views[10:][: rules.retrieval_topk], verify)
    )
    return found


def _keys(media: Any, prefix: str) -> list[str]:
    return sorted(islice((k for k in media.keys(prefix) if k.endswith(".jpg")), 4 * _SAMPLE))[:_SAMPLE]


def _each(items: Iterable[Any], work: Callable[[Any], Any]) -> float:
    listed = list(items)
    work(listed[0])
    start = time.monotonic()
    for item in listed:
        work(item)
    return (time.monotonic() - start) / len(listed)


def report(size: int, found: Measured, plain: dict[str, float]) -> None:
    """Prints the table of one size."""
    print(
        f"\n{found.keyframes} keyframes (asked for {size}): {found.wall_s:.1f} s from process start to end, ",
        end="",
    )
    print(f"{found.keyframes / found.wall_s:.1f} keyframes/s, peak {found.peak_bytes / 2**20:.0f} MiB")
    print(f"{'stage':<16}{'items':>7}{'seconds':>9}{'ms/item':>9}{'plain loop ms':>15}{'speed-up':>10}")
    for stage, (seconds, items) in found.stages.items():
        # A video is one item of `keyframes`; its cost is given per keyframe, as the plain loop's is.
        count = found.keyframes if stage == "keyframes" else items
        each = 1_000 * seconds / max(1, count)
        loop = f"{1_000 * plain[stage]:.1f}" if stage in plain else "-"
        gain = f"{1_000 * plain[stage] / each:.1f}x" if stage in plain and each > 0 else "-"
        print(f"{stage:<16}{count:>7}{seconds:>9.1f}{each:>9.1f}{loop:>15}{gain:>10}")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keyframes", type=int, nargs="+", default=[500, 5_000])
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench")
    parser.add_argument("--case", type=Path, help="a case on disk instead of generated ones")
    parser.add_argument("--child", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_child(*options.child)
        return
    peaks = []
    for size in [0] if options.case else options.keyframes:
        case = options.case or _generated(options.folder, size)
        home = options.folder / f"home-{size}"
        found = measure(case, home)
        report(size, found, plain_loops(case, home))
        peaks.append(found.peak_bytes)
        shutil.rmtree(home, ignore_errors=True)
    if len(peaks) > 1:
        last, first = options.keyframes[-1], options.keyframes[0]
        print(f"\npeak memory at {last} over {first} keyframes: {peaks[-1] / peaks[0]:.2f}x")


def _generated(folder: Path, size: int) -> Path:
    case = folder / f"case-{size}"
    if not (case / "truth.csv").is_file():
        maker = ROOT / "bench" / "make_case.py"
        subprocess.run(
            [sys.executable, str(maker), str(case), "--keyframes", str(size)], check=True, cwd=ROOT
        )
    return case


if __name__ == "__main__":
    main()
