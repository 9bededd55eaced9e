"""Videos and their keyframes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from pvm_jobs.events import Event
from pvm_resources.postgres.driver import Copy, Statement, Write
from pvm_resources.store.base import Repository, clean, columns, listed, rows, signed, unsigned
from pvm_resources.store.job_changes import outbox_write
from pvm_resources.store.records import Frame, JobVideo, KeyframeSet, Video

_VIDEO: Final = columns(Video, without=("channel",))
_MEMBER: Final = {"job_id": "text", **columns(JobVideo, size="int8")}
_FRAME: Final = columns(Frame, phash="int8")
_SET: Final = columns(KeyframeSet)
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
    ) -> None:
        """Stores exactly `members` as the job's videos, each naming one of `videos` or one stored before."""
        left = (
            "DELETE FROM job_videos WHERE job_id = %s AND given_name NOT IN (SELECT given_name FROM {stage})"
        )
        self._db.commit(
            *_videos_writes(videos),
            Copy(
                "job_videos", _MEMBER, rows(members, [*_MEMBER][1:], job_id), ("job_id", "given_name"),
                conflict="(job_id, name_hash)", update=[*_MEMBER][2:], before=[Statement(left, [job_id])],
            ),
            outbox_write(events),
        )  # fmt: skip

    def add_videos(self, videos: Sequence[Video], *, also: Sequence[Write] = ()) -> None:
        """Stores videos that no job names yet; one stored before keeps what it has."""
        self._db.commit(*_videos_writes(videos), *also)

    def cut_already(self, video_ids: Sequence[uuid.UUID], params_key: str) -> set[uuid.UUID]:
        """Those of the videos whose keyframes are done under `params_key`, in any job."""
        found = self._db.tuples(
            "SELECT video_id FROM keyframe_sets WHERE params_key = %s AND video_id = ANY(%s)",
            [params_key, list(video_ids)],
        )
        return {row[0] for row in found}

    def write_frames(
        self,
        frames: Iterable[Frame],
        sets: Iterable[KeyframeSet] = (),
        *,
        events: Iterable[Event] = (),
    ) -> None:
        """Stores frames, and marks videos as done under their parameters; frames of one video may come in
        several calls, its set with the last."""
        stored, done = rows(frames, _FRAME, phash=signed, reason=clean), rows(sets, _SET)
        self._db.commit(
            Copy("stored_frames", _FRAME, stored, ("frame_id",), update=[*_FRAME][3:]),
            Copy("keyframe_sets", _SET, done, ("video_id", "params_key"), update=[*_SET][2:]),
            outbox_write(events),
        )

    def videos(self, job_id: str) -> list[Video]:
        """The job's videos, each once, in the order of its first name."""
        return self._db.all(
            Video,
            f"SELECT {listed(Video, 'v')} FROM videos v JOIN ("
            "  SELECT video_id, min(position) AS place FROM job_videos WHERE job_id = %s GROUP BY video_id"
            ") j USING (video_id) ORDER BY j.place, v.video_id",
            [job_id],
        )

    def members(self, job_id: str) -> list[JobVideo]:
        """The job's videos by given name, in order."""
        query = f"SELECT {listed(JobVideo)} FROM job_videos WHERE job_id = %s ORDER BY position, given_name"
        return self._db.all(JobVideo, query, [job_id])

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
            f"SELECT {listed(_SET)} FROM keyframe_sets WHERE params_key = %(key)s "
            f"AND video_id IN ({_JOB_VIDEOS})",
            {"job": job_id, "key": params_key},
        )
        return {done.video_id: done for done in found}

    def frames(self, job_id: str, params_key: str, status: str = "kept") -> Iterator[Frame]:
        """The job's frames under `params_key`, by video and time; streamed. `status` ``rejected`` lists the
        rejected ones with their reasons."""
        return self._db.stream(
            _frame,
            f"SELECT {listed(_FRAME)} FROM stored_frames WHERE params_key = %(key)s "
            f"AND status = %(status)s AND video_id IN ({_JOB_VIDEOS}) ORDER BY video_id, ts, frame_id",
            {"job": job_id, "key": params_key, "status": status},
        )


def _videos_writes(videos: Sequence[Video]) -> Iterator[Write]:
    yield Copy(
        "videos", _VIDEO, rows(videos, _VIDEO, url=clean, title=clean), ("video_id",),
        extra={
            **{n: f"coalesce(excluded.{n}, t.{n})" for n in ("duration_s", "width", "height")},
            # Texts that a purge has blanked are filled again by the next collection.
            **{n: f"coalesce(nullif(t.{n}, ''), excluded.{n})" for n in ("title", "url")},
        },
    )  # fmt: skip
    named = {video.video_id: clean(video.channel) for video in videos if video.channel}
    if named:
        yield Statement(
            "UPDATE videos v SET channel = c.channel "
            "FROM unnest(%s::uuid[], %s::text[]) c (video_id, channel) "
            "WHERE v.video_id = c.video_id AND v.channel = ''",
            [list(named), list(named.values())],
        )


def _frame(**columns: Any) -> Frame:
    return Frame(**{**columns, "phash": unsigned(columns["phash"])})
