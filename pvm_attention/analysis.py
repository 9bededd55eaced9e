"""One video looked at: its tracks and landmarks, stored as they come."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from pvm_attention.chain import FaceSample, follow_faces
from pvm_attention.rules import AttentionRules
from pvm_attention.sample_store import CHUNK, put_chunk
from pvm_core.errors import MediaError
from pvm_core.faces.detection import FaceDetector, load_detector
from pvm_core.faces.landmarks import LandmarkNet
from pvm_core.ids import content_key
from pvm_core.model_registry import MODELS
from pvm_core.video import iter_frames
from pvm_resources.media.store import MediaStore
from pvm_resources.sources.confined import held
from pvm_resources.store.attention import FaceSet, FaceTrack

#: Raised where the same video would give other landmarks.
VERSION: Final = "1"
#: Frames from whose time stamps the rate is taken.
_RATE_FRAMES: Final = 50


@dataclass(frozen=True)
class FaceNetworks:
    """A detector and the landmark networks, loaded once a run.

    Raises:
        InputError: ``attention.detector``.
        ModelError: ``model.missing``, ``model.hash``.
    """

    detector: FaceDetector
    landmarks: LandmarkNet

    @classmethod
    def load(cls, detector: str, models_dir: Path) -> FaceNetworks:
        """Loads them from the model store."""
        return cls(load_detector(detector, models_dir), LandmarkNet(models_dir))


def faces_key(detector: str, rules: AttentionRules) -> str:
    """A key of all that decides which landmarks a video has."""
    networks = (MODELS[name].sha256 or "" for name in ("blazeface", "face-mesh", "iris-mesh"))
    rates = (rules.face_fps, rules.every_frame_fps, rules.search_fps, rules.blink_min_fps)
    return content_key(VERSION, detector, *networks, *map(repr, rates))


def frame_rate(path: Path) -> float:
    """Frames a second by the time stamps of the video's beginning; 0 for a single frame.

    Raises:
        MediaError: no frame can be decoded.
    """
    ts: list[float] = []
    try:
        ts.extend(frame.ts for frame in islice(iter_frames(path), _RATE_FRAMES))
    except MediaError:
        if not ts:
            raise
    steps = np.diff(ts)
    return float(1 / np.median(steps)) if steps.size and np.median(steps) > 0 else 0.0


@dataclass
class _TrackSum:
    first_s: float
    last_s: float = 0.0
    samples: int = 0
    presence: float = 0.0
    box: list[float] = field(default_factory=lambda: [0.0] * 4)

    def add(self, sample: FaceSample) -> None:
        self.last_s, self.samples = sample.ts, self.samples + 1
        self.presence += sample.landmarks.presence
        left, top, width, height = sample.landmarks.box
        for n, share in enumerate(
            (left / sample.width, top / sample.height, width / sample.width, height / sample.height)
        ):
            self.box[n] += share


@dataclass
class _Looking:
    """What is known while a video is looked at; landmarks go to the media store chunk by chunk."""

    media: MediaStore
    prefix: str
    looked: int = 0
    with_face: int = 0
    chunks: list[str] = field(default_factory=list)
    waiting: list[FaceSample] = field(default_factory=list)
    tracks: dict[int, _TrackSum] = field(default_factory=dict)

    def add(self, faces: tuple[FaceSample, ...]) -> None:
        self.looked, self.with_face = self.looked + 1, self.with_face + bool(faces)
        for sample in faces:
            self.tracks.setdefault(sample.track, _TrackSum(sample.ts)).add(sample)
            self.waiting.append(sample)
        if len(self.waiting) >= CHUNK:
            self.flush()

    def flush(self) -> None:
        if self.waiting:
            key = f"{self.prefix}/landmarks-{len(self.chunks):05d}.npz"
            put_chunk(self.media, key, self.waiting)
            self.chunks.append(key)
            self.waiting = []


def media_prefix(video_id: uuid.UUID, key: str) -> str:
    """Where a video's numbers about faces lie in the media store."""
    return f"faces/{video_id}/{key}"


def look_at(
    path: Path,
    video_id: uuid.UUID,
    key: str,
    networks: FaceNetworks,
    rules: AttentionRules,
    media: MediaStore,
) -> tuple[FaceSet, list[FaceTrack]]:
    """Follows the faces of a video file and stores their landmarks; memory does not grow with its length.

    A file that breaks off keeps what was decoded before it did, with the code beside it.

    Raises:
        MediaError: no frame could be decoded.
        StoreError: the media store refused a file.
    """
    began, state, problem = time.process_time(), _Looking(media, media_prefix(video_id, key)), ""
    with held(path) as file:
        fps = frame_rate(file)
        try:
            for found in _looked(file, fps, networks, rules):
                state.add(found)
        except MediaError as error:
            if not state.looked:
                raise
            problem = error.code
    state.flush()
    spent = time.process_time() - began
    name = networks.detector.name
    done = FaceSet(
        video_id, key, name, fps, state.looked, state.with_face, spent, list(state.chunks), problem
    )
    return done, [_track(video_id, key, number, s) for number, s in sorted(state.tracks.items())]


def _looked(
    path: Path, fps: float, networks: FaceNetworks, rules: AttentionRules
) -> Iterator[tuple[FaceSample, ...]]:
    for looked in follow_faces(iter_frames(path), fps, networks.detector, networks.landmarks, rules):
        yield looked.faces


def _track(video_id: uuid.UUID, key: str, number: int, found: _TrackSum) -> FaceTrack:
    left, top, width, height = (value / found.samples for value in found.box)
    presence = found.presence / found.samples
    return FaceTrack(
        video_id, key, number, found.first_s, found.last_s, found.samples, presence, left, top, width, height
    )


def areas_of(tracks: list[FaceTrack]) -> dict[uuid.UUID, dict[int, float]]:
    """Mean share of the picture of each track's box, by video."""
    found: dict[uuid.UUID, dict[int, float]] = defaultdict(dict)
    for track in tracks:
        found[track.video_id][track.track] = track.box_width * track.box_height
    return found
