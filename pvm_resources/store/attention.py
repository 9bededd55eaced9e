"""Faces of videos as numbers, and the attention made of them. No table of matching is read or written but to
know a job's videos."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from pvm_core.errors import InputError, StoreError
from pvm_jobs.events import ATTENTION, Event
from pvm_jobs.payloads import Outgoing
from pvm_resources.postgres.driver import Copy, Statement
from pvm_resources.store.base import Repository, columns, insert, json, listed, rows
from pvm_resources.store.job_changes import outbox_write

SeriesKind = Literal["head_pose", "gaze", "blinks"]
AttentionStatus = Literal["running", "complete", "failed"]


@dataclass(frozen=True)
class FaceSet:
    """A video whose faces were looked for.

    Attributes:
        faces_key: detector, networks and sampling.
        detector: its name.
        fps: frames a second of the video.
        looked, with_face: frames that were looked at, and those with a face.
        seconds_cpu: processor time it took.
        chunks: keys of the landmarks in the media store, in order of time.
        problem: a code where the video ended early.
    """

    video_id: uuid.UUID
    faces_key: str
    detector: str
    fps: float
    looked: int
    with_face: int
    seconds_cpu: float
    chunks: list[str] = field(default_factory=list)
    problem: str = ""


@dataclass(frozen=True)
class FaceTrack:
    """One face without a gap; box: mean, as shares of the picture; presence: mean, [0, 1]."""

    video_id: uuid.UUID
    faces_key: str
    track: int
    first_s: float
    last_s: float
    samples: int
    presence: float
    box_left: float
    box_top: float
    box_width: float
    box_height: float


@dataclass(frozen=True)
class FaceSeries:
    """What was measured of a video's faces, sample by sample, in the media store.

    Attributes:
        method: version of the measure; another one is computed again.
        local_path: key in the media store.
        summary: figures for people.
    """

    video_id: uuid.UUID
    faces_key: str
    kind: SeriesKind
    method: str
    local_path: str
    summary: dict[str, Any]


@dataclass(frozen=True)
class VideoAttention:
    """Attention of one video: its presenter's.

    Attributes:
        attention_key: faces, measures and weights.
        score: [0, 1]; None: unknown.
        presenter: number of the presenter's track; None where nobody is seen.
        tracks: each with its score, blinks and curve by second.
    """

    video_id: uuid.UUID
    faces_key: str
    attention_key: str
    score: float | None
    coverage: float
    confidence: float
    presenter: int | None
    tracks: list[dict[str, Any]]


@dataclass(frozen=True)
class JobAttention:
    """How far the analysis of a job is.

    Attributes:
        reason: of a failure: code, subject, reason, remedy.
        assets: the finished assets, each with data version, rows and figures.
        variants: detector -> key, status and reason of the analysis under it.
    """

    job_id: str
    status: AttentionStatus
    attention_key: str
    reason: dict[str, Any] | None
    assets: dict[str, Any]
    updated_at: datetime
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class VideoVariant:
    """What the analysis of a job under one detector says of a video.

    Attributes:
        main: its attention is the one that counts.
        status, reason: of the job's analysis under that detector.
        found: None where it has none of the video.
        faces: frames that were looked at and the time it took; None likewise.
    """

    detector: str
    main: bool
    status: AttentionStatus
    reason: dict[str, Any] | None
    found: VideoAttention | None
    faces: FaceSet | None


_SET: Final = columns(FaceSet, chunks="jsonb")
_TRACK: Final = columns(FaceTrack)
#: Events that one look takes out of the outbox.
_UPDATES: Final = 1_000
_JOB_VIDEOS: Final = "SELECT video_id FROM job_videos WHERE job_id = %(job)s"


class Attention(Repository):
    """Tables `face_sets`, `face_tracks`, `face_series`, `attention_videos`, `attention_jobs`."""

    # -- a job -------------------------------------------------------------------------------------

    def begin(
        self, job_id: str, attention_key: str, detector: str, faces_key: str, *, main: bool = True
    ) -> None:
        """The analysis of the job has begun under that key.

        Args:
            detector: its name, under which it stands beside those of other detectors.
            faces_key: of what it finds faces with.
            main: its attention is to count; else one that counts has to be there already.

        Raises:
            InputError: ``attention.variant``: it is not.
        """
        state = {"key": attention_key, "faces_key": faces_key, "status": "running", "reason": None}
        if not main:
            self._set_variant(job_id, detector, state)
            return
        self._db.commit(
            insert(
                "attention_jobs",
                {
                    "job_id": job_id, "status": "running", "attention_key": attention_key,
                    "variants": json({detector: state}),
                },
                "ON CONFLICT (job_id) DO UPDATE SET status = 'running', reason = NULL, updated_at = now(), "
                "attention_key = excluded.attention_key, "
                "variants = attention_jobs.variants || excluded.variants",
            )
        )  # fmt: skip

    def fail(self, job_id: str, reason: Mapping[str, Any], detector: str = "", *, main: bool = True) -> None:
        """The analysis of the job failed; what it finished is kept.

        Args:
            detector: under which; "": that of the analysis that counts.
        """
        state = {"status": "failed", "reason": dict(reason)}
        if main:
            self._db.commit(
                insert(
                    "attention_jobs",
                    {"job_id": job_id, "status": "failed", "reason": json(reason)},
                    "ON CONFLICT (job_id) DO UPDATE SET status = 'failed', reason = excluded.reason, "
                    "updated_at = now()",
                )
            )
            detector = detector or self._main_detector(job_id)
        self._update_variant(job_id, detector, state)

    def fail_unfinished(self, job_id: str, code: str, reason: str, detector: str = "") -> None:
        """The run of an analysis ended: what it left unfinished has failed.

        Args:
            code, reason: of the error.
            detector: another one than that of the analysis that counts.
        """
        known = self.job(job_id)
        if known is None or all(one["status"] != "running" for one in known.variants.values()):
            return
        error = StoreError(code, f"job {job_id}", reason, "Run it again: what it finished is kept")
        self.fail(job_id, error.to_dict(), detector, main=not detector)

    def finish_asset(
        self,
        job_id: str,
        asset: str,
        state: Mapping[str, Any],
        *,
        complete: bool = False,
        events: Iterable[Event] = (),
        detector: str = "",
        main: bool = True,
    ) -> None:
        """One asset is finished for the job; `complete`: the whole analysis, with its events."""
        if main:
            self._db.commit(
                Statement(
                    "UPDATE attention_jobs SET assets = assets || jsonb_build_object(%s::text, %s::jsonb), "
                    "status = CASE WHEN %s THEN 'complete' ELSE status END, updated_at = now() "
                    "WHERE job_id = %s",
                    [asset, json(state), complete, job_id],
                ),
                outbox_write(events),
            )
        if complete:
            self._update_variant(job_id, detector, {"status": "complete", "reason": None})

    def _set_variant(self, job_id: str, detector: str, state: Mapping[str, Any]) -> None:
        query = (
            "UPDATE attention_jobs SET variants = variants || jsonb_build_object(%s::text, %s::jsonb) "
            "WHERE job_id = %s AND attention_key <> ''"
        )
        if not self._execute(query, detector, json(state), job_id):
            raise InputError(
                "attention.variant",
                f"job {job_id}",
                "it has no analysis yet that one of another detector could stand beside",
                "Run it first under the detector of its industry's rules",
            )

    def _main_detector(self, job_id: str) -> str:
        job = self.job(job_id)
        states = job.variants.items() if job else ()
        return next((name for name, one in states if job and one["key"] == job.attention_key), "")

    def _update_variant(self, job_id: str, detector: str, state: Mapping[str, Any]) -> None:
        """Changes one that has begun."""
        self._execute(
            "UPDATE attention_jobs SET variants = jsonb_set(variants, ARRAY[%s::text], "
            "(variants -> %s::text) || %s::jsonb) WHERE job_id = %s AND variants ? %s::text",
            detector, detector, json(state), job_id, detector,
        )  # fmt: skip

    def job(self, job_id: str) -> JobAttention | None:
        """How far the job's analysis is; None where it has not begun."""
        query = f"SELECT {listed(JobAttention)} FROM attention_jobs WHERE job_id = %s"
        return self._db.one(JobAttention, query, [job_id])

    def waiting(self, limit: int) -> list[tuple[str, datetime]]:
        """Partitions of completed jobs whose analysis has not begun since, with the time of their end; newest
        first."""
        found = self._db.tuples(
            "SELECT partition_key, finished_at FROM jobs j WHERE status = 'completed' "
            "AND archived_at IS NULL AND NOT EXISTS (SELECT FROM attention_jobs a WHERE a.job_id = j.job_id "
            "AND (a.status = 'running' OR a.updated_at >= j.finished_at)) ORDER BY finished_at DESC LIMIT %s",
            [limit],
        )
        return [(key, ended) for key, ended in found]

    def updates(self, after: Mapping[str, int]) -> list[Outgoing]:
        """The oldest events of attention of these jobs, 1,000 at most, in order.

        Args:
            after: job -> place in the outbox (`Outgoing.seq`) that they come after. Events of one job become
                visible in the order of their places; those of several do not.
        """
        return self._db.all(
            Outgoing,
            "SELECT event_id, job_id, seq, name, payload, created_at FROM outbox "
            "JOIN unnest(%s::text[], %s::bigint[]) AS w (job, place) ON job_id = job AND seq > place "
            "WHERE name = ANY(%s) ORDER BY seq LIMIT %s",
            [list(after), list(after.values()), list(ATTENTION), _UPDATES],
        )

    def place(self, job_id: str) -> int:
        """The place in the outbox of the job's newest event of attention; 0 where it has none."""
        query = "SELECT coalesce(max(seq), 0) FROM outbox WHERE job_id = %s AND name = ANY(%s)"
        return int(self._db.value(query, [job_id, list(ATTENTION)]) or 0)

    # -- faces -------------------------------------------------------------------------------------

    def sets(self, job_id: str, faces_key: str) -> dict[uuid.UUID, FaceSet]:
        """The job's videos whose faces were looked for under that key."""
        found = self._db.all(
            FaceSet,
            f"SELECT {listed(FaceSet)} FROM face_sets WHERE faces_key = %(key)s "
            f"AND video_id IN ({_JOB_VIDEOS})",
            {"job": job_id, "key": faces_key},
        )
        return {one.video_id: one for one in found}

    def write_set(self, found: FaceSet, tracks: Sequence[FaceTrack]) -> None:
        """Stores a video's faces; what was measured of earlier ones under the key goes."""
        self._db.commit(
            Statement(
                "DELETE FROM face_sets WHERE video_id = %s AND faces_key = %s",
                [found.video_id, found.faces_key],
            ),
            insert("face_sets", {**vars(found), "chunks": json(found.chunks)}),
            Copy("face_tracks", _TRACK, rows(tracks, _TRACK), ("video_id", "faces_key", "track")),
        )

    def tracks(self, job_id: str, faces_key: str) -> list[FaceTrack]:
        """Tracks of the job's videos, by video and number."""
        return self._db.all(
            FaceTrack,
            f"SELECT {listed(FaceTrack)} FROM face_tracks WHERE faces_key = %(key)s "
            f"AND video_id IN ({_JOB_VIDEOS}) ORDER BY video_id, track",
            {"job": job_id, "key": faces_key},
        )

    def series(self, job_id: str, faces_key: str, kind: SeriesKind) -> dict[uuid.UUID, FaceSeries]:
        """What was measured of the job's videos."""
        found = self._db.all(
            FaceSeries,
            f"SELECT {listed(FaceSeries)} FROM face_series WHERE faces_key = %(key)s AND kind = %(kind)s "
            f"AND video_id IN ({_JOB_VIDEOS})",
            {"job": job_id, "key": faces_key, "kind": kind},
        )
        return {one.video_id: one for one in found}

    def write_series(self, series: FaceSeries) -> None:
        """Stores one measure of a video."""
        self._db.commit(
            insert(
                "face_series",
                {**vars(series), "summary": json(series.summary)},
                "ON CONFLICT (video_id, faces_key, kind) DO UPDATE SET method = excluded.method, "
                "local_path = excluded.local_path, summary = excluded.summary",
            )
        )

    # -- attention ---------------------------------------------------------------------------------

    def write_attention(self, found: VideoAttention, events: Iterable[Event] = ()) -> None:
        """Stores a video's attention with its event."""
        self._db.commit(
            insert(
                "attention_videos",
                {**vars(found), "tracks": json(found.tracks)},
                "ON CONFLICT (video_id, attention_key) DO UPDATE SET score = excluded.score, "
                "coverage = excluded.coverage, confidence = excluded.confidence, "
                "presenter = excluded.presenter, tracks = excluded.tracks, faces_key = excluded.faces_key, "
                "created_at = now()",
            ),
            outbox_write(events),
        )

    def videos(self, job_id: str, attention_key: str) -> dict[uuid.UUID, VideoAttention]:
        """Attention of the job's videos under that key."""
        found = self._db.all(
            VideoAttention,
            f"SELECT {listed(VideoAttention)} FROM attention_videos WHERE attention_key = %(key)s "
            f"AND video_id IN ({_JOB_VIDEOS})",
            {"job": job_id, "key": attention_key},
        )
        return {one.video_id: one for one in found}

    def of_video(self, video_id: uuid.UUID, job_id: str | None = None) -> VideoAttention | None:
        """The attention of a video as the job's analysis has it, without a job the newest one."""
        key = "AND attention_key = (SELECT attention_key FROM attention_jobs WHERE job_id = %(job)s)"
        return self._db.one(
            VideoAttention,
            f"SELECT {listed(VideoAttention)} FROM attention_videos WHERE video_id = %(video)s "
            f"{key if job_id else ''} ORDER BY created_at DESC LIMIT 1",
            {"video": video_id, "job": job_id},
        )

    def variants(self, video_id: uuid.UUID, job_id: str) -> list[VideoVariant]:
        """What the job's analyses say of a video, each under its detector; the one that counts first."""
        job = self.job(job_id)
        if job is None:
            return []
        keys = {one["key"] for one in job.variants.values()}
        found = self._db.all(
            VideoAttention,
            f"SELECT {listed(VideoAttention)} FROM attention_videos WHERE video_id = %s "
            "AND attention_key = ANY(%s)",
            [video_id, list(keys)],
        )
        sets = self._db.all(
            FaceSet, f"SELECT {listed(FaceSet)} FROM face_sets WHERE video_id = %s", [video_id]
        )
        by_key, faces = {one.attention_key: one for one in found}, {one.faces_key: one for one in sets}
        made = [
            VideoVariant(
                detector, one["key"] == job.attention_key, one["status"], one["reason"],
                by_key.get(one["key"]), faces.get(one["faces_key"]),
            )
            for detector, one in job.variants.items()
        ]  # fmt: skip
        return sorted(made, key=lambda one: (not one.main, one.detector))

    def jobs_of(self, video_id: uuid.UUID) -> list[JobAttention]:
        """The analyses of the jobs that hold the video, newest first."""
        return self._db.all(
            JobAttention,
            f"SELECT {listed(JobAttention)} FROM attention_jobs WHERE job_id IN "
            "(SELECT job_id FROM job_videos WHERE video_id = %s) ORDER BY updated_at DESC",
            [video_id],
        )

    # -- retention ---------------------------------------------------------------------------------

    def aged(self, days_of: Mapping[str, float], now: datetime) -> list[tuple[uuid.UUID, str, list[str]]]:
        """Sets whose time is over: (video, faces_key, keys in the media store). A video of several industries
        is kept as long as the most generous says; one of none is over at once.

        Args:
            days_of: industry slug -> days.
        """
        found = self._db.tuples(
            "WITH kept (slug, days) AS (SELECT * FROM unnest(%(slugs)s::text[], %(days)s::float8[])) "
            "SELECT s.video_id, s.faces_key, s.chunks, "
            "  (SELECT coalesce(jsonb_agg(local_path), '[]') FROM face_series f "
            "   WHERE f.video_id = s.video_id AND f.faces_key = s.faces_key) FROM face_sets s "
            "WHERE s.created_at <= %(now)s - make_interval(secs => 86400 * coalesce("
            "  (SELECT max(days) FROM job_videos v JOIN jobs j USING (job_id) JOIN kept ON slug = j.industry "
            "   WHERE v.video_id = s.video_id), 0)) ORDER BY s.video_id, s.faces_key",
            {"slugs": list(days_of), "days": list(days_of.values()), "now": now},
        )
        return [(video, key, [*chunks, *series]) for video, key, chunks, series in found]

    def forget(self, video_id: uuid.UUID, faces_key: str) -> None:
        """Deletes everything about the faces of a video under that key."""
        self._execute("DELETE FROM face_sets WHERE video_id = %s AND faces_key = %s", video_id, faces_key)


def missing_reason(analysis: JobAttention | None, *, location_died: bool = False) -> dict[str, Any]:
    """Why a video has no attention: code, subject, reason, remedy.

    Args:
        analysis: of the job that holds the video; None: it has not begun.
        location_died: the code server that would begin it was started and does not answer.
    """
    if analysis is None and location_died:
        return InputError(
            "attention.away",
            "the attention analysis",
            "its code server does not answer, so that it has not run for a job that holds this video",
            "It follows once the server is back: `pvm up` starts what is missing",
        ).to_dict()
    if analysis is None:
        return InputError(
            "attention.not_run",
            "the attention analysis",
            "it has not run for a job that holds this video",
            "Run `make attention` once, then `pvm attention --job JOB --run`, or leave `pvm up` running",
        ).to_dict()
    if analysis.status == "failed" and analysis.reason:
        return analysis.reason
    if analysis.status == "running":
        return InputError(
            "attention.running", f"job {analysis.job_id}", "its analysis is not finished", "Ask again later"
        ).to_dict()
    return InputError(
        "attention.left_out",
        f"job {analysis.job_id}",
        "this video could not be analysed",
        "See the asset face_tracks: its metadata names what is missing",
    ).to_dict()
