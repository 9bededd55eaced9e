"""One video: its identity and its keyframes, stored."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path

from pvm_core import ids
from pvm_core.errors import MediaError, Problem
from pvm_core.images import FRAME_FORMAT, stored_jpeg
from pvm_core.keyframes import Keyframe, KeyframeParams, RejectedFrame, iter_keyframes
from pvm_core.video import probe
from pvm_resources.media.store import MediaStore


@dataclass(frozen=True)
class VideoTask:
    """A video file; `name` is how the user knows it."""

    path: Path
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class ReadVideo:
    """A video that opens.

    Attributes:
        sha256: of the whole file; the video's identity.
        duration_s: seconds; width, height: pixels as shown.
    """

    video_id: uuid.UUID
    sha256: str
    duration_s: float
    width: int
    height: int


@dataclass(frozen=True)
class CutTask:
    """A video whose keyframes are wanted."""

    video_id: uuid.UUID
    path: Path
    name: str
    params: KeyframeParams

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class CutFrame:
    """A frame that was looked at; `key` (of the stored JPEG) is None where it was rejected for `reason`."""

    frame_id: uuid.UUID
    ts: float
    shot: int
    key: str | None
    width: int
    height: int
    sharpness: float
    phash: int
    reason: str


@dataclass(frozen=True)
class CutVideo:
    """All frames of one video, and what stopped it early, if anything did."""

    video_id: uuid.UUID
    frames: tuple[CutFrame, ...]
    problem: Problem | None


def read_video(_: None, task: VideoTask) -> ReadVideo:
    """Hashes and probes one file.

    Raises:
        MediaError: it is missing, empty or no video.
    """
    try:
        with task.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MediaError(
            "video.missing",
            task.name,
            f"cannot be read ({error.strerror or error})",
            "check that the file exists and that this user may read it",
        ) from error
    info = probe(task.path)
    return ReadVideo(ids.video_id(digest), digest, info.duration_s, info.width, info.height)


def cut_video(media: MediaStore, task: CutTask) -> CutVideo:
    """Stores the keyframes of one video as they are decided; one frame is held at a time.

    A file that breaks off keeps what was decoded before it did, with the problem beside it.

    Raises:
        MediaError: no frame at all could be decoded.
        StoreError: the media store refused a frame.
    """
    frames: list[CutFrame] = []
    try:
        for found in iter_keyframes(task.path, task.params):
            frames.append(_stored(media, task, found))
    except MediaError as error:
        if not any(f.key for f in frames):
            raise
        return CutVideo(task.video_id, tuple(frames), Problem.of("keyframes", error, task.name))
    return CutVideo(task.video_id, tuple(frames), None)


def _stored(media: MediaStore, task: CutTask, found: Keyframe | RejectedFrame) -> CutFrame:
    frame_id = ids.frame_id(task.video_id, task.params.key, found.pts_ms)
    if isinstance(found, RejectedFrame):
        reason = f"{found.reason}: {found.detail}" if found.detail else found.reason
        return CutFrame(frame_id, found.ts, -1, None, 0, 0, 0.0, 0, reason)
    key = f"videos/{task.video_id}/frames/{frame_id}.jpg"
    media.put(key, stored_jpeg(found.rgb, FRAME_FORMAT))
    height, width = found.rgb.shape[:2]
    return CutFrame(frame_id, found.ts, found.shot, key, width, height, found.sharpness, found.phash, "")
