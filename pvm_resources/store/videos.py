"""Videos and their keyframes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from pvm_jobs.events import Event
from pvm_resources.postgres.driver import Copy, Statement, Write
from pvm_resources.store.base import Repository, clean, signed, unsigned
from pvm_resources.store.records import Frame, JobVideo, KeyframeSet, Video

_VIDEO: Final = {
    "video_id": "uuid", "sha256": "text", "platform": "text", "url": "text", "title": "text",
    "duration_s": "float8", "width": "int4", "height": "int4", "published_at": "timestamptz",
}  # fmt: skip
_MEMBER: Final = {
    "job_id": "text", "given_name": "text", "video_id": "uuid", "source_ref": "text", "size": "int8",
    "mtime": "float8", "position": "int4",
}  # fmt: skip
_FRAME: Final = {
    "frame_id": "uuid", "video_id": "uuid", "params_key": "text", "ts": "float8", "status": "text",
    "shot": "int4", "local_path": "text", "width": "int4", "height": "int4", "sharpness": "float8",
    "phash": "int8", "reason": "text",
}  # fmt: skip
_SET: Final = {
    "video_id": "uuid",
    "params_key": "text",
    "frames": "int4",
    "rejected": "int4",
    "problem": "text",
}
_JOB_VIDEOS: Final = "SELECT DISTINCT video_id FROM job_videos WHERE job_id = %(job)s"


class Videos(Repository):
    """Tables `videos`, `job_videos`, `keyframe_sets`, `stored_frames`."""

    def set_videos(
        self,
        job_id: str,
        videos: Sequence[Video],
        members: Sequence[JobVideo],
        *,
        events: Iterable[Event] = (),
        also: Sequence[Write] = (),
    ) -> None:
        """The job's videos are exactly `members`, each naming one of `videos` or one stored before."""
        names = (
            (job_id, m.given_name, m.video_id, m.source_ref, m.size, m.mtime, m.position) for m in members
        )
        self._db.commit(
            _videos_write(videos),
            Copy(
                "job_videos", _MEMBER, names, ("job_id", "given_name"), conflict="(job_id, name_hash)",
                update=("video_id", "source_ref", "size", "mtime", "position"),
                before=[
                    Statement(
                        "DELETE FROM job_videos WHERE job_id = %s "
                        "AND given_name NOT IN (SELECT given_name FROM {stage})",
                        [job_id],
                    )
                ],
            ),
            *also,
            events=events,
        )  # fmt: skip

    def add_videos(self, videos: Sequence[Video], *, also: Sequence[Write] = ()) -> None:
        """Stores videos that no job names yet; one stored before keeps what it has."""
        self._db.commit(_videos_write(videos), *also)

    def cut_already(self, video_ids: Sequence[uuid.UUID], params_key: str) -> set[uuid.UUID]:
        """Those of the videos whose keyframes are done under `params_key`, in any job."""
        found = self._db.tuples(
            "SELECT video_id FROM keyframe_sets WHERE params_key = %s AND video_id = ANY(%s)",
            [params_key, list(video_ids)],
        )
        return {row[0] for row in found}

    def update_video(self, video: Video, *, also: Sequence[Write] = ()) -> None:
        """What opening the file told: duration, width, height."""
        self._db.commit(
            Statement(
                "UPDATE videos SET duration_s = %s, width = %s, height = %s WHERE video_id = %s",
                [video.duration_s, video.width, video.height, video.video_id],
            ),
            *also,
        )

    def write_frames(
        self,
        frames: Iterable[Frame],
        sets: Iterable[KeyframeSet] = (),
        *,
        events: Iterable[Event] = (),
        also: Sequence[Write] = (),
    ) -> None:
        """Stores frames, and marks videos as done under their parameters; frames of one video may come in
        several calls, its set with the last."""
        rows = (
            (f.frame_id, f.video_id, f.params_key, f.ts, f.status, f.shot, f.local_path, f.width, f.height,
             f.sharpness, signed(f.phash), clean(f.reason)) for f in frames
        )  # fmt: skip
        done = ((s.video_id, s.params_key, s.frames, s.rejected, s.problem) for s in sets)
        changed = tuple(name for name in _FRAME if name not in {"frame_id", "video_id", "params_key"})
        self._db.commit(
            Copy("stored_frames", _FRAME, rows, ("frame_id",), update=changed),
            Copy(
                "keyframe_sets",
                _SET,
                done,
                ("video_id", "params_key"),
                update=("frames", "rejected", "problem"),
            ),
            *also,
            events=events,
        )

    def videos(self, job_id: str) -> list[Video]:
        """The job's videos, each once, in the order of its first name."""
        return self._db.all(
            Video,
            f"SELECT {', '.join('v.' + name for name in _VIDEO)} FROM videos v JOIN ("
            "  SELECT video_id, min(position) AS place FROM job_videos WHERE job_id = %s GROUP BY video_id"
            ") j USING (video_id) ORDER BY j.place, v.video_id",
            [job_id],
        )

    def members(self, job_id: str) -> list[JobVideo]:
        """The job's videos by given name, in order."""
        return self._db.all(JobVideo, f"{_MEMBERS} WHERE job_id = %s ORDER BY position, given_name", [job_id])

    def known_files(self, files: Sequence[tuple[int, float]]) -> dict[tuple[str, int, float], uuid.UUID]:
        """Videos by (source_ref, size, mtime) of files seen in any job, so that an unchanged file is not
        hashed again.

        Args:
            files: (size, mtime) of the files in question.
        """
        found = self._db.tuples(
            "SELECT DISTINCT ON (source_ref, size, mtime) source_ref, size, mtime, video_id FROM job_videos "
            "JOIN (SELECT unnest(%s::bigint[]) AS size, unnest(%s::double precision[]) AS mtime) f "
            "USING (size, mtime) ORDER BY source_ref, size, mtime, job_id DESC",
            [[size for size, _ in files], [mtime for _, mtime in files]],
        )
        return {(ref, size, mtime): video for ref, size, mtime, video in found}

    def sets(self, job_id: str, params_key: str) -> dict[uuid.UUID, KeyframeSet]:
        """Videos of the job whose keyframes are done under `params_key`."""
        found = self._db.all(
            KeyframeSet,
            "SELECT video_id, params_key, frames, rejected, problem FROM keyframe_sets "
            f"WHERE params_key = %(key)s AND video_id IN ({_JOB_VIDEOS})",
            {"job": job_id, "key": params_key},
        )
        return {done.video_id: done for done in found}

    def frames(self, job_id: str, params_key: str, status: str = "kept") -> Iterator[Frame]:
        """The job's frames under `params_key`, by video and time; streamed. `status` ``rejected`` lists the
        rejected ones with their reasons."""
        return self._db.stream(
            _frame,
            f"SELECT {', '.join(_FRAME)} FROM stored_frames WHERE params_key = %(key)s "
            f"AND status = %(status)s AND video_id IN ({_JOB_VIDEOS}) ORDER BY video_id, ts, frame_id",
            {"job": job_id, "key": params_key, "status": status},
        )

    def frames_of(self, frame_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Frame]:
        """Those frames, whatever job they belong to."""
        found = self._db.all(
            _frame,
            f"SELECT {', '.join(_FRAME)} FROM stored_frames WHERE frame_id = ANY(%s)",
            [list(frame_ids)],
        )
        return {frame.frame_id: frame for frame in found}


def _videos_write(videos: Sequence[Video]) -> Write:
    rows = (
        (v.video_id, v.sha256, v.platform, clean(v.url), clean(v.title), v.duration_s, v.width, v.height,
         v.published_at) for v in videos
    )  # fmt: skip
    return Copy(
        "videos", _VIDEO, rows, ("video_id",),
        extra={
            **{n: f"coalesce(excluded.{n}, t.{n})" for n in ("duration_s", "width", "height")},
            # Texts that a purge has blanked come back with the next collection.
            **{n: f"coalesce(nullif(t.{n}, ''), excluded.{n})" for n in ("title", "url")},
        },
    )  # fmt: skip


_MEMBERS: Final = "SELECT given_name, video_id, source_ref, size, mtime, position FROM job_videos"


def _frame(**columns: Any) -> Frame:
    return Frame(**{**columns, "phash": unsigned(columns["phash"])})
