"""The whole job at two sizes: time and CPU per item and stage, memory, accuracy; beside a plain script.

usage: python bench/bench_pipeline.py [--keyframes 500 5000] [--case FOLDER] [--embed-model auto]

A job runs as `pvm run` runs it: Dagster and worker processes, embedded PostgreSQL; then the same job again.
CPU is user and system of the whole process tree, PostgreSQL included (`bench.tree_cpu`); it hardly depends on
what else the machine does, seconds do. Memory is what the run worker and its children hold, PostgreSQL left
out, sampled twice a second.
A plain loop calls the same functions over the stored files, one after the other in one process, without
Dagster, database or workers; its CPU an item is what the stage's is held against.
`PVM_SHARED` names the folder of measuring material: its `tools/plain_script.py`, what a user would
write instead, is run unchanged, with 20 candidates a frame and with every product; then the same method said
in pixeltable (`bench/pixeltable_case.py`), in an environment of its own, where it can be installed.
Accuracy counts pairs with a score of 0.80 and more against the case's `truth.csv`.
"""

from __future__ import annotations

import argparse
import csv
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
from tree_cpu import adopt_orphans, await_orphans, tree_cpu

ROOT = Path(__file__).resolve().parent.parent
#: Score from which a pair counts as said to be a match, ours and the script's.
_ACCEPT = 0.80
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
class Spent:
    """What something took: seconds of the clock, seconds of CPU, items."""

    wall_s: float
    cpu_s: float
    items: int = 0


@dataclass(frozen=True)
class Measured:
    """One run: what each stage and the whole took, bytes at the peak, accepted pairs (product, video)."""

    stages: dict[str, Spent]
    whole: Spent
    keyframes: int
    peak_bytes: int
    accepted: frozenset[tuple[str, str]]

    @property
    def around_cpu_s(self) -> float:
        """CPU seconds outside the stages: start, imports, checks, what lies between steps."""
        return self.whole.cpu_s - sum(stage.cpu_s for stage in self.stages.values())


def run_child(case: Path, home: Path, embed_model: str) -> None:
    """Runs a job and prints what each stage took, as JSON; the work of the measured process."""
    adopt_orphans()
    os.environ["PVM_HOME"] = str(home)
    os.environ["EMBED_MODEL"] = embed_model
    from pvm_assets.execution.bootstrap import bootstrap
    from pvm_assets.execution.code_location import CodeLocation
    from pvm_assets.execution.runner import StepNews, run_job
    from pvm_resources.postgres.driver import Database
    from pvm_resources.settings import load_settings, project_root
    from pvm_resources.store.assembly import Store

    settings = load_settings()
    platform = bootstrap(settings)
    began: dict[str, tuple[float, float]] = {}
    took: dict[str, tuple[float, float]] = {}

    def note_time(news: StepNews) -> None:
        # To ask for the CPU of the tree takes 3 ms, and a run has 58 steps.
        if news.step not in _STAGES:
            return
        if news.kind == "STEP_START":
            began[news.step] = time.monotonic(), tree_cpu()
        elif news.kind == "STEP_SUCCESS":
            # An asset may be split over several steps.
            (wall, cpu), (wall_before, cpu_before) = began[news.step], took.get(news.step, (0.0, 0.0))
            took[news.step] = wall_before + time.monotonic() - wall, cpu_before + tree_cpu() - cpu

    with Database(platform.dsn) as database:
        repos = Store.over(database)
        slug = repos.industries.ensure("bench").slug
        request = {"products": str(case / "products.csv"), "videos": str(case / "videos")}
        job = repos.jobs.create(slug, request, "bench")
        location = CodeLocation.of_workspace(project_root() / "workspace.yaml")
        outcome = run_job(job.job_id, settings, location, note_time)
        items = {p.stage: p.done - p.reused for p in repos.state.progress(job.job_id)}
        counts = repos.jobs.counts(job.job_id)
        found = repos.matching.results(job.job_id, statuses=("accepted",))
        accepted = [(one.product, Path(one.video).stem) for one in found]
    platform.close()
    await_orphans()
    answer = {
        "status": outcome.status,
        "error": outcome.error,
        "took": took,
        "items": items,
        "keyframes": counts.frames,
        "accepted": accepted,
    }
    sys.stdout.write(json.dumps(answer, default=str) + "\n")


def watched(command: list[str]) -> tuple[str, Spent, int]:
    """What a command printed, what it took, and the bytes it and its children held at most."""
    start, before, peak = time.monotonic(), os.times(), 0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, text=True
    ) as process:
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.5)
        printed = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return printed, Spent(time.monotonic() - start, cpu), peak


def measure(case: Path, home: Path, embed_model: str) -> Measured:
    """Runs a job on `case` in a process of its own and watches its memory."""
    command = [sys.executable, __file__, "--child", str(case), str(home), "--embed-model", embed_model]
    printed, whole, peak = watched(command)
    answer = json.loads(printed.splitlines()[-1])
    if answer["status"] != "completed":
        raise SystemExit(f"the job {answer['status']}: {answer['error']}")
    stages = {
        name: Spent(*answer["took"][name], items=int(answer["items"].get(name, 0)))
        for name in _STAGES
        if name in answer["took"]
    }
    accepted = frozenset((product, video) for product, video in answer["accepted"])
    return Measured(stages, whole, answer["keyframes"], peak, accepted)


def said_by(out: Path) -> frozenset[tuple[str, str]]:
    """The pairs of a results file that reach the score."""
    with out.open(newline="", encoding="utf-8") as file:
        return frozenset(
            (row["product"], row["video"]) for row in csv.DictReader(file) if float(row["score"]) >= _ACCEPT
        )


def accuracy(case: Path, said: frozenset[tuple[str, str]]) -> str:
    """Precision and recall against the case's truth, as text."""
    from pvm_evaluation.folders import CaseFolder, open_folder

    folder = open_folder(case)
    assert isinstance(folder, CaseFolder)
    labels = [label for pair in said if (label := folder.label(*pair)) is not None]
    right, true = sum(labels), len(folder.truth)
    precision = f"{right / len(labels):.3f}" if labels else "-"
    return f"precision {precision} ({right}/{len(labels)}), recall {right / max(1, true):.3f} of {true}"


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


def plain_loops(case: Path, home: Path, embed_model: str) -> dict[str, float]:
    """CPU seconds per item of each stage in a plain loop over the same functions."""
    os.environ["OPENCV_FOR_THREADS_NUM"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import uuid

    from pvm_assets.steps.embeddings import EmbeddingExtractor
    from pvm_assets.steps.keypoints import KeypointExtractor
    from pvm_assets.steps.masks import MaskExtractor
    from pvm_assets.work.decoded import decode
    from pvm_assets.work.frames import FrameWorkerState, cut_video
    from pvm_core.embedders import choose_embedder
    from pvm_core.images import decode_picture, encode_jpeg, normalise
    from pvm_core.keyframes import KeyframeParams
    from pvm_core.keypoints import KeypointParams, detect
    from pvm_core.verification import VerifyParams, View, verify_frame
    from pvm_jobs.rules import resolve
    from pvm_resources.media.store import MediaStore
    from pvm_resources.models.calibrations import calibrated
    from pvm_resources.store.records import Item, JobVideo

    rules, source = resolve(), MediaStore(str(home / "media"))
    media, models = MediaStore(str(home / "plain")), home / "models"
    name = choose_embedder(embed_model, models, calibrated(models))
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
    start = time.process_time()
    cut = cut_video(FrameWorkerState(media, params), video)
    found["keyframes"] = (time.process_time() - start) / max(1, sum(f.status == "kept" for f in cut.frames))
    points = KeypointParams.from_rules(rules)
    extractors = {
        "masks": MaskExtractor.load(media, "classic", models),
        "embeddings": EmbeddingExtractor.load(name, models, "plain", rules.grey_clahe),
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
    start = time.process_time()
    for item in listed:
        work(item)
    return (time.process_time() - start) / len(listed)


def report(size: int, found: Measured, plain: dict[str, float]) -> None:
    """Prints the table of one size."""
    print(
        f"\n{found.keyframes} keyframes (asked for {size}): {found.whole.wall_s:.1f} s and "
        f"{found.whole.cpu_s:.1f} CPU-seconds from process start to end, {found.around_cpu_s:.1f} of them "
        f"around the stages; {found.keyframes / found.whole.wall_s:.1f} keyframes/s, "
        f"peak {found.peak_bytes / 2**20:.0f} MiB"
    )
    print(
        f"{'stage':<16}{'items':>7}{'seconds':>9}{'CPU s':>8}{'ms/item':>9}{'CPU ms/item':>13}"
        f"{'loop CPU ms':>13}"
    )
    for stage, spent in found.stages.items():
        # A video is one item of `keyframes`; its cost is given per keyframe, as the plain loop's is.
        count = found.keyframes if stage == "keyframes" else spent.items
        each, cpu = (1_000 * value / max(1, count) for value in (spent.wall_s, spent.cpu_s))
        loop = f"{1_000 * plain[stage]:.1f}" if stage in plain else "-"
        print(
            f"{stage:<16}{count:>7}{spent.wall_s:>9.1f}{spent.cpu_s:>8.1f}{each:>9.1f}{cpu:>13.1f}{loop:>13}"
        )


def report_beside(case: Path, folder: Path, ours: Measured, again: Measured) -> None:
    """Prints our job, the same again, and the plain script in both of its modes."""
    print(f"\n{'':<30}{'seconds':>9}{'CPU s':>8}{'MiB':>7}   accuracy")
    for name, one in (("this project", ours), ("the same job again", again)):
        print(_line(name, one.whole, one.peak_bytes) + accuracy(case, one.accepted))
    script = Path(os.environ.get("PVM_SHARED", ROOT.parent / "shared")) / "tools" / "plain_script.py"
    if not script.is_file():
        print("plain script: skipped, the folder that PVM_SHARED names holds no tools/plain_script.py")
        return
    for name, options in (("20 candidates", ["--topk", "20"]), ("every product", [])):
        out = folder / "plain.csv"
        _, spent, peak = watched([sys.executable, str(script), str(case), str(out), *options])
        print(
            _line(f"plain script, {name}", spent, peak) + accuracy(case, said_by(out)) + _times(spent, ours)
        )


def report_pixeltable(case: Path, folder: Path, ours: Measured) -> None:
    """Prints what the script's method costs in pixeltable, installed apart; the reason where it cannot be."""
    python = folder / "pixeltable" / "bin" / "python"
    made = [["venv", "-q", "--clear", str(folder / "pixeltable")]]
    made += [["pip", "install", "-q", "--python", str(python), "pixeltable", "opencv-python-headless<5"]]
    for command in () if python.is_file() else made:
        uv = subprocess.run(
            [str(Path(sys.executable).parent / "uv"), *command], stderr=subprocess.PIPE, text=True
        )
        if uv.returncode:
            shutil.rmtree(folder / "pixeltable", ignore_errors=True)
            print(f"pixeltable: skipped, it could not be installed: {uv.stderr.strip().splitlines()[-1]}")
            return
    out, script = folder / "pixeltable.csv", ROOT / "bench" / "pixeltable_case.py"
    inner = [str(python), str(script), str(case), str(out)]
    _, spent, peak = watched([sys.executable, __file__, "--adopting", *inner])
    print(
        _line("pixeltable, 20 candidates", spent, peak) + accuracy(case, said_by(out)) + _times(spent, ours)
    )


def _times(spent: Spent, ours: Measured) -> str:
    return f"; {spent.cpu_s / ours.whole.cpu_s:.1f} times our CPU"


def run_adopting(command: list[str]) -> None:
    """Runs a command and waits for the servers that it left: their CPU counts as its own."""
    adopt_orphans()
    done = subprocess.run(command)
    await_orphans()
    raise SystemExit(done.returncode)


def _line(name: str, spent: Spent, peak: int) -> str:
    return f"{name:<30}{spent.wall_s:>9.1f}{spent.cpu_s:>8.1f}{peak / 2**20:>7.0f}   "


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keyframes", type=int, nargs="+", default=[500, 5_000])
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench")
    parser.add_argument("--case", type=Path, help="a case on disk instead of generated ones")
    parser.add_argument("--embed-model", default="auto")
    parser.add_argument("--child", type=Path, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--adopting", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.adopting:
        run_adopting(options.adopting)
    if options.child:
        run_child(*options.child, options.embed_model)
        return
    peaks = []
    for size in [0] if options.case else options.keyframes:
        case = options.case or _generated(options.folder, size)
        home = options.folder / f"home-{size}"
        shutil.rmtree(home, ignore_errors=True)
        options.folder.mkdir(parents=True, exist_ok=True)
        found, again = (measure(case, home, options.embed_model) for _ in range(2))
        report(size, found, plain_loops(case, home, options.embed_model))
        report_beside(case, options.folder, found, again)
        report_pixeltable(case, options.folder, found)
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
