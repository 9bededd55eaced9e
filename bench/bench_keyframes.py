"""Time of the keyframe stage per video, beside a plain loop over cv2.VideoCapture.

usage: python bench/bench_keyframes.py FOLDER [--truth truth.csv] [--limit N]

The plain loop decodes every frame and takes the same measurements at the same spacing; it skips nothing and
chooses nothing. CPU seconds are of this process, all threads; cv2's own threads are off in both. With --truth
(product_id,video_id,start_s,end_s) it also prints how many appearances have a keyframe.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from pvm_core.images import phash64
from pvm_core.keyframes import Keyframe, KeyframeParams, RejectedFrame, iter_keyframes
from pvm_core.video import SamplingPlan, iter_sampled_frames, probe

SUFFIXES = {".mp4", ".mkv", ".webm", ".mov"}


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """(wall, CPU) seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def plain_loop(path: Path, step_s: float) -> int:
    """Every frame decoded; at each step the measurements a careful script would take."""
    capture, due, looks = cv2.VideoCapture(str(path)), 0.0, 0
    while True:
        read, bgr = capture.read()
        if not read:
            return looks
        now = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if now < due:
            continue
        due, looks = now + step_s, looks + 1
        scale = 480 / max(bgr.shape[:2])
        small = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        cv2.Laplacian(grey, cv2.CV_32F).var()
        cv2.calcHist(
            [cv2.cvtColor(small, cv2.COLOR_BGR2HSV)], [0, 1, 2], None, [8, 8, 8], [0, 180, 0, 256, 0, 256]
        )
        phash64(np.asarray(grey, np.uint8))


def decode_only(path: Path) -> None:
    """Every frame decoded and nothing else."""
    capture = cv2.VideoCapture(str(path))
    while capture.grab():
        capture.retrieve()


def covered(path: Path, frames: list[Keyframe], truth: list[dict[str, str]]) -> tuple[int, int, int]:
    """(appearances with a keyframe, with two, in all) of a video."""
    counts = [
        sum(float(row["start_s"]) <= frame.ts <= float(row["end_s"]) for frame in frames)
        for row in truth
        if row["video_id"] == path.stem
    ]
    return sum(c > 0 for c in counts), sum(c > 1 for c in counts), len(counts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--limit", type=int, default=1_000)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    truth: list[dict[str, str]] = []
    if options.truth:
        with options.truth.open(newline="", encoding="utf-8") as file:
            truth = list(csv.DictReader(file))
    report(
        sorted(p for p in options.folder.iterdir() if p.suffix.lower() in SUFFIXES)[: options.limit], truth
    )


def report(paths: list[Path], truth: list[dict[str, str]]) -> None:
    params = KeyframeParams()
    plan = SamplingPlan(params.look_s, params.max_gap_s, params.max_s)
    columns = {
        "keyframes": lambda p: results.__setitem__(p, list(iter_keyframes(p, params))),
        "of that, decoding": lambda p: sum(1 for _ in iter_sampled_frames(p, plan)),
        "plain loop": lambda p: plain_loop(p, params.look_s),
        "cv2 decode only": decode_only,
    }
    results: dict[Path, list[Keyframe | RejectedFrame]] = {}
    totals = {name: np.zeros(2) for name in columns}
    for path in paths:
        for name, run in columns.items():
            totals[name] += timed(lambda run=run, path=path: run(path))  # type: ignore[misc]
    length = sum(probe(path).duration_s for path in paths)
    kept = {path: [f for f in found if isinstance(f, Keyframe)] for path, found in results.items()}
    number = sum(len(frames) for frames in kept.values())
    print(f"{len(paths)} videos, {length:.0f} s, {number} keyframes: {number / len(paths):.1f} a video")
    print(
        dict(Counter(f.reason for found in results.values() for f in found if isinstance(f, RejectedFrame)))
    )
    for name, (wall, cpu) in totals.items():
        wall_ms, cpu_ms = 1000 * wall / len(paths), 1000 * cpu / len(paths)
        print(f"{name:18} {wall_ms:7.0f} ms a video, CPU {cpu_ms:7.0f} ms, {1000 * cpu / length:6.1f} ms/s")
    if truth:
        sums = np.sum([covered(path, frames, truth) for path, frames in kept.items()], axis=0)
        print(f"appearances with a keyframe {sums[0]} of {sums[2]}, with two {sums[1]}")


if __name__ == "__main__":
    main()
