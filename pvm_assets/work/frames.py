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
from pvm_resources.sources.confined import held, led_away
from pvm_resources.store.records import Frame, JobVideo, Video


@dataclass(frozen=True)
class VideoTask:
    """A video file; `name` is how the user knows it."""

    path: Path
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class FrameWorkerState:
    """What a worker needs to extract keyframes."""

    media: MediaStore
    params: KeyframeParams


@dataclass(frozen=True)
class CutVideo:
    """All sampled frames of one video, kept and rejected, and what stopped it early, if anything did."""

    video_id: uuid.UUID
    frames: tuple[Frame, ...]
    problem: Problem | None


def read_video(_: None, task: VideoTask) -> Video:
    """Hashes and probes one file; platform, URL and title are the caller's to add.

    Raises:
        MediaError: it is missing, empty or no video.
    """
    try:
        with held(task.path) as path:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            info = probe(path)
    except OSError as error:
        raise _unreadable(task.name, error) from error
    return Video(
        ids.video_id(digest), digest, "", duration_s=info.duration_s, width=info.width, height=info.height
    )


def cut_video(state: FrameWorkerState, video: JobVideo) -> CutVideo:
    """Stores the keyframes of one video as they are decided; one frame is held at a time.

    A file that breaks off keeps what was decoded before it did, with the problem beside it.

    Raises:
        MediaError: no frame at all could be decoded.
        StoreError: the media store refused a frame.
    """
    frames: list[Frame] = []
    try:
        with held(Path(video.source_ref)) as path:
            for found in iter_keyframes(path, state.params):
                frames.append(_stored(state, video.video_id, found))
    except OSError as error:
        raise _unreadable(video.given_name, error) from error
    except MediaError as error:
        if not any(f.status == "kept" for f in frames):
            raise
        return CutVideo(video.video_id, tuple(frames), Problem.of("keyframes", error, video.given_name))
    return CutVideo(video.video_id, tuple(frames), None)


def _unreadable(name: str, error: OSError) -> MediaError:
    if led_away(error):
        reason = "a part of its path was replaced by a link after the folder was read"
        return MediaError("video.outside", name, reason, "Put the file itself there, then run the job again")
    reason = f"cannot be read ({error.strerror or error})"
    return MediaError(
        "video.missing", name, reason, "check that the file exists and that this user may read it"
    )


def _stored(state: FrameWorkerState, video: uuid.UUID, found: Keyframe | RejectedFrame) -> Frame:
    method = state.params.key
    frame_id = ids.frame_id(video, method, found.pts_ms)
    if isinstance(found, RejectedFrame):
        reason = f"{found.reason}: {found.detail}" if found.detail else found.reason
        return Frame(frame_id, video, method, found.ts, "rejected", reason=reason)
    key = f"videos/{video}/frames/{frame_id}.jpg"
    state.media.put(key, stored_jpeg(found.rgb, FRAME_FORMAT))
    height, width = found.rgb.shape[:2]
    return Frame(
        frame_id,
        video,
        method,
        found.ts,
        "kept",
        found.shot,
        key,
        width,
        height,
        found.sharpness,
        found.phash,
    )
