"""Frames a second and memory of the attention analysis, beside plain MediaPipe in the same run.

    python bench/bench_attention.py CLIP [--minutes 30] [--mediapipe PYTHON]

CLIP is a video with a face, read again and again until the minutes are full, so that memory can be watched.
The chain is the product's own: decoding, detection, tracking, landmarks and irises, head pose, gaze, eyes.
PYTHON is an interpreter with mediapipe 0.10.21 of its own; without it that half is left out, and said to be.
Processor time of one process, OpenCV at one thread: frames a second a core.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import psutil

from pvm_attention.analysis import FaceNetworks
from pvm_attention.chain import follow_faces
from pvm_attention.eyes import eye_openness
from pvm_attention.gaze import gaze_of
from pvm_attention.head_pose import solve_pose
from pvm_attention.rules import AttentionRules
from pvm_core.video import SampledFrame, iter_frames
from pvm_resources.settings import load_settings

#: What plain MediaPipe does with the same frames: its own mesh with irises, one face, tracking on.
_PLAIN = """
import resource, sys, time
import cv2, mediapipe
cv2.setNumThreads(1)
mesh = mediapipe.solutions.face_mesh.FaceMesh(refine_landmarks=True, max_num_faces=1)
clip, count, faces, used = sys.argv[1], int(sys.argv[2]), 0, 0.0
done = 0
while done < count:
    video = cv2.VideoCapture(clip)
    while done < count:
        good, frame = video.read()
        if not good:
            break
        began = time.process_time()
        found = mesh.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        used += time.process_time() - began
        faces += bool(found.multi_face_landmarks)
        done += 1
print(done, faces, used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def looped(clip: Path, seconds: float) -> Iterator[SampledFrame]:
    """Frames of the clip again and again, their times going on."""
    shift = 0.0
    for _ in itertools.count():
        last = 0.0
        for frame in iter_frames(clip):
            last = frame.ts
            if shift + last >= seconds:
                return
            yield replace(frame, ts=shift + last)
        shift += last + 1 / 30


def measure(clip: Path, minutes: float) -> int:
    """Runs the chain and prints its figures; how many frames it looked at."""
    networks = FaceNetworks.load("blazeface", load_settings().models)
    process, looked, faces, marks = psutil.Process(), 0, 0, [0.0]
    began, wall = time.process_time(), time.monotonic()
    for found in follow_faces(
        looped(clip, minutes * 60), 30.0, networks.detector, networks.landmarks, AttentionRules()
    ):
        looked += 1
        for face in found.faces:
            faces += 1
            pose = solve_pose(face.landmarks.points, face.width, face.height)
            if pose is not None:
                gaze_of(face.landmarks.points, pose)
            eye_openness(face.landmarks.points)
        if looked % 500 == 0:
            marks.append(process.memory_info().rss / 2**20)
    used, spent = time.process_time() - began, time.monotonic() - wall
    print(f"the chain: {looked} frames, {faces} faces, {looked / used:.1f} frames/s a core ({spent:.0f} s)")
    if len(marks) > 3:
        first, most, end = marks[1], max(marks), marks[-1]
        print(f"memory: {first:.0f} MB after 500 frames, {most:.0f} MB at most, {end:.0f} MB at the end")
    return looked


def plain(python: str, clip: Path, count: int) -> None:
    """The same number of frames through MediaPipe."""
    command = [python, "-c", _PLAIN, str(clip), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"plain MediaPipe: failed ({(done.stderr.strip().splitlines() or ['?'])[-1]})")
        return
    frames, faces, used, memory = (float(v) for v in done.stdout.split()[-4:])
    print(f"plain MediaPipe, landmarks alone: {frames:.0f} frames, {faces:.0f} faces, "
          f"{frames / used:.1f} frames/s a core, {memory:.0f} MB")  # fmt: skip


def main() -> int:
    """Both halves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--mediapipe", default="")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    looked = measure(given.clip, given.minutes)
    if given.mediapipe:
        plain(given.mediapipe, given.clip, min(looked, 2_000))
    else:
        print("plain MediaPipe: left out, --mediapipe names no interpreter")
    return 0


if __name__ == "__main__":
    sys.exit(main())
