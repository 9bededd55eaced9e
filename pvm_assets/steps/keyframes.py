"""Keyframes: the sharpest frames of each shot."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from pvm_assets.data_version import version_of
from pvm_assets.stage import Column, Report, Stage, job_asset
from pvm_assets.work.frames import CutVideo, FrameWorkerState, cut_video
from pvm_core.errors import InputError, Problem
from pvm_core.keyframes import KeyframeParams
from pvm_resources.store.records import JobVideo, KeyframeSet


@job_asset(
    table="stored_frames",
    columns=(
        Column("frame_id", "uuid", "uuid5 of the video, the parameters and the time"),
        Column("video_id", "uuid", "the video it is of"),
        Column("ts", "float8", "seconds from the start, from pts"),
        Column("shot", "int4", "number of the shot in its video"),
        Column("local_path", "text", "key in the media store; null for a rejected frame"),
        Column("sharpness", "float8", "Laplacian energy of its sharper tiles; comparable within a shot"),
        Column("status", "text", "kept or rejected"),
        Column("reason", "text", "why a frame was rejected"),
    ),
    kinds={"python", "postgres", "ffmpeg", "image"},
    code_version="1",
)
def keyframes(stage: Stage) -> Report:
    """The sharpest frames of each shot, with their seconds; rejected frames keep their reason."""
    params = KeyframeParams.from_rules(stage.rules)
    names = _names(stage)
    todo = _begin(stage, params, names)
    _cut(stage, params, [names[video_id] for video_id in todo])
    return _keyframe_report(stage, params)


def begin_keyframes(stage: Stage) -> Sequence[uuid.UUID]:
    """States how many videos there are; those to cut, longest first."""
    return _begin(stage, KeyframeParams.from_rules(stage.rules), _names(stage))


def cut_keyframes(stage: Stage) -> None:
    """Cuts the videos of the stage's shard."""
    params, names = KeyframeParams.from_rules(stage.rules), _names(stage)
    todo = _todo(stage, names, _intact_sets(stage, params))
    _cut(stage, params, [names[video_id] for video_id in todo])


def _begin(stage: Stage, params: KeyframeParams, names: Mapping[uuid.UUID, JobVideo]) -> list[uuid.UUID]:
    stage.services.store.jobs.set_keys(stage.job_id, keyframes=params.key)
    done = _intact_sets(stage, params)
    for video_id, kept in done.items():
        if kept.problem and not stage.after_shards:
            stage.note([_ended_early(names[video_id].given_name, kept.problem)])
    todo = _todo(stage, names, done)
    total = len(stage.services.store.videos.videos(stage.job_id))
    stage.begin(total, reused=total - len(todo))
    return todo


def _todo(stage: Stage, names: Mapping[uuid.UUID, JobVideo], done: Collection[uuid.UUID]) -> list[uuid.UUID]:
    listed = stage.services.store.videos.videos(stage.job_id)
    todo = [v for v in listed if v.video_id not in done and stage.mine(v.video_id, str(names[v.video_id]))]
    return [video.video_id for video in sorted(todo, key=lambda v: -(v.duration_s or 0.0))]


def _cut(stage: Stage, params: KeyframeParams, videos: Sequence[JobVideo]) -> None:
    setup = partial(FrameWorkerState, stage.services.media, params)
    answers = stage.services.pool.map(cut_video, videos, setup)
    # One video is one item: its frames are stored with the mark that it is done.
    stage.settle(answers, partial(_write_frames, stage, params), batch=1)


def _names(stage: Stage) -> dict[uuid.UUID, JobVideo]:
    found: dict[uuid.UUID, JobVideo] = {}
    for member in stage.services.store.videos.members(stage.job_id):
        found.setdefault(member.video_id, member)
    return found


def _ended_early(name: str, code: str) -> Problem:
    return Problem(
        "keyframes", name, code, "it ended early; what was decoded before is kept. Convert it again"
    )


def _intact_sets(stage: Stage, params: KeyframeParams) -> dict[uuid.UUID, KeyframeSet]:
    """Videos whose keyframes are done and whose files are all there."""
    done = stage.services.store.videos.sets(stage.job_id, params.key)
    lost = {
        frame.video_id
        for frame in stage.services.store.videos.frames(stage.job_id, params.key)
        if frame.local_path is None or not stage.services.media.exists(frame.local_path)
    }
    return {video: kept for video, kept in done.items() if video not in lost}


def _write_frames(stage: Stage, params: KeyframeParams, cut: list[CutVideo]) -> None:
    for video in cut:
        kept = [frame for frame in video.frames if frame.status == "kept"]
        problem = video.problem.code if video.problem else ""
        rejected = len(video.frames) - len(kept)
        done = KeyframeSet(video.video_id, params.key, len(kept), rejected, problem)
        frames = [{"frame_id": str(f.frame_id), "ts": f.ts, "local_path": f.local_path} for f in kept]
        # The same payload as `Features.announce_keyframes` builds for videos that an earlier job cut.
        event = stage.event(
            "videos.keyframes.ready", str(video.video_id), video_id=str(video.video_id), frames=frames
        )
        stage.services.store.videos.write_frames(video.frames, [done], events=[event])
        if video.problem:
            stage.note([video.problem])


def _keyframe_report(stage: Stage, params: KeyframeParams) -> Report:
    stage.services.store.features.announce_keyframes(stage.job_id)
    frames = stage.services.store.videos.frames(stage.job_id, params.key)
    known = [(frame.frame_id.hex, frame.local_path or "") for frame in frames]
    if not known:
        raise InputError(
            "keyframes.none", "keyframes", "not one frame of any video can be used", "See the job's problems"
        )
    reasons = Counter(
        f.reason.partition(":")[0]
        for f in stage.services.store.videos.frames(stage.job_id, params.key, "rejected")
    )
    preview = stage.preview([path for _, path in known], "keyframes")
    events = (
        stage.event("videos.keyframes.ready.batch", total_keyframes=len(known)),
        stage.event("videos.collections.completed"),
    )
    rejected = dict(reasons)
    metadata = {"rejected": rejected, **preview}
    version = version_of(frame_id for frame_id, _ in known)
    return Report(len(known), version, metadata, {"rejected": rejected}, events)
