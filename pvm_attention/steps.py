"""The assets' work on one job, without Dagster: what is there already is not computed again."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

from pvm_attention.analysis import FaceNetworks, areas_of, faces_key, look_at, media_prefix
from pvm_attention.measures import (
    METHODS,
    Arrays,
    attention_of,
    blink_summary,
    eye_series,
    gaze_series,
    gaze_summary,
    pose_series,
    pose_summary,
    presenter_of,
)
from pvm_attention.rules import AttentionRules
from pvm_attention.sample_store import FaceChunk, put_arrays, read_arrays, read_chunks
from pvm_core.errors import InputError, MediaError, PvmError, StoreError
from pvm_core.faces.detection import label_of
from pvm_core.ids import content_key
from pvm_core.rules import Rules
from pvm_jobs.events import Event
from pvm_resources.media.store import MediaStore
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.attention import FaceSeries, FaceSet, SeriesKind, VideoAttention
from pvm_resources.store.records import Job, JobVideo

#: Raised where the same series would give another score.
SCORE_VERSION: Final = "1"


@dataclass(frozen=True)
class StepReport:
    """What an asset did.

    Attributes:
        version: data version.
        rows: of this job.
        figures: for people: counts, and names of what is missing with its reason.
    """

    version: str
    rows: int
    figures: dict[str, Any]


@dataclass
class JobAnalysis:
    """One job under analysis.

    Args:
        job: the job.
        rules: of its industry, as they are now.
        log: takes a line about the work.
        main: its attention is the one that counts; else it stands beside that, under another detector.
    """

    job: Job
    rules: Rules
    settings: Settings
    store: Store
    media: MediaStore
    log: Callable[[str], None]
    main: bool = True
    attention: AttentionRules = field(init=False)
    faces_key: str = field(init=False)
    attention_key: str = field(init=False)

    def __post_init__(self) -> None:
        rules = self.rules
        self.attention = AttentionRules(
            weight_pose=rules.attention_weight_pose,
            weight_gaze=rules.attention_weight_gaze,
            weight_eyes=rules.attention_weight_eyes,
        )
        self.faces_key = faces_key(rules.attention_detector, self.attention)
        self.attention_key = content_key(
            self.faces_key, SCORE_VERSION, *map(repr, METHODS.items()), repr(self.attention)
        )

    @property
    def detector(self) -> str:
        """The short name of its detector."""
        return label_of(self.rules.attention_detector)

    # -- faces -------------------------------------------------------------------------------------

    def find_faces(self) -> StepReport:
        """Tracks and landmarks of the job's videos.

        Raises:
            InputError: ``attention.upstream``: the job has no videos yet; ``attention.detector``.
            ModelError: ``model.missing``, ``model.hash``.
        """
        members = self._members()
        done, missing = self._intact(), dict[str, str]()
        todo = [video for video in members if video.video_id not in done]
        # Loaded also where nothing is to do: a machine without them says so at once.
        networks = FaceNetworks.load(self.rules.attention_detector, self.settings.models)
        self.log(f"faces: {len(members)} videos, {len(members) - len(todo)} known, {len(todo)} to look at")
        for video in todo:
            error = self._look(video, networks)
            if error is not None:
                missing[video.given_name] = f"{error.reason} [{error.code}]"
        sets = self.store.attention.sets(self.job.job_id, self.faces_key)
        tracks = self.store.attention.tracks(self.job.job_id, self.faces_key)
        version = content_key(*(f"{t.video_id}{t.track}{t.samples}" for t in tracks), *map(str, sorted(sets)))
        figures = {
            "videos": len(members),
            "reused": len(members) - len(todo),
            "tracks": len(tracks),
            "detector": self.detector,
            "frames looked at": sum(s.looked for s in sets.values()),
            "frames with a face": sum(s.with_face for s in sets.values()),
            "processor seconds": round(sum(s.seconds_cpu for s in sets.values()), 1),
            "missing": missing,
        }
        return StepReport(version, len(tracks), figures)

    def _look(self, video: JobVideo, networks: FaceNetworks) -> PvmError | None:
        try:
            found, tracks = look_at(
                Path(video.source_ref), video.video_id, self.faces_key, networks, self.attention, self.media
            )
        except OSError as error:
            reason = f"its file cannot be read ({error.strerror or error})"
            return MediaError("video.missing", video.given_name, reason, "Run the job again to fetch it")
        except MediaError as error:
            return error
        self.store.attention.write_set(found, tracks)
        self.log(f"{video.given_name}: {len(tracks)} tracks in {found.looked} frames")
        return None

    def _intact(self) -> dict[uuid.UUID, FaceSet]:
        """Videos that are done and whose files are all there."""
        sets = self.store.attention.sets(self.job.job_id, self.faces_key)
        return {video: one for video, one in sets.items() if all(map(self.media.exists, one.chunks))}

    # -- measures ----------------------------------------------------------------------------------

    def measure(self, kind: SeriesKind) -> StepReport:
        """One measure of every video whose faces are known."""
        known = self.store.attention.series(self.job.job_id, self.faces_key, kind)
        sets = self._intact()
        fresh, unreadable = 0, list[StoreError]()
        for video_id, faces in sorted(sets.items()):
            kept = known.get(video_id)
            if kept and kept.method == METHODS[kind] and self.media.exists(kept.local_path):
                continue
            with _collected(unreadable):
                self._measure_one(kind, faces)
            fresh += 1
        _raise_first(unreadable)
        found = self.store.attention.series(self.job.job_id, self.faces_key, kind)
        version = content_key(kind, METHODS[kind], *(f"{v}" for v in sorted(found)), self.faces_key)
        figures = {"videos": len(found), "reused": len(sets) - fresh, "computed": fresh}
        return StepReport(version, len(found), {**figures, **self._shown(found)})

    def _measure_one(self, kind: SeriesKind, faces: FaceSet) -> None:
        with self._readable(faces):
            arrays = _MEASURES[kind](read_chunks(self.media, faces.chunks))
        if kind == "head_pose":
            summary = pose_summary(arrays)
        elif kind == "gaze":
            summary = gaze_summary(arrays)
        else:
            summary = blink_summary(arrays, faces.fps, self.attention)
        key = f"{media_prefix(faces.video_id, self.faces_key)}/{kind}.npz"
        put_arrays(self.media, key, arrays)
        series = FaceSeries(faces.video_id, self.faces_key, kind, METHODS[kind], key, summary)
        self.store.attention.write_series(series)

    def _shown(self, found: dict[uuid.UUID, FaceSeries]) -> dict[str, Any]:
        names = {video.video_id: video.given_name for video in self._members()}
        return {"summaries": {names[video]: one.summary for video, one in list(found.items())[:_SHOWN]}}

    # -- attention ---------------------------------------------------------------------------------

    def score(self) -> StepReport:
        """The attention of every video that was measured, with the events; those computed before are kept."""
        attention, job_id = self.store.attention, self.job.job_id
        known = attention.videos(job_id, self.attention_key)
        areas = areas_of(attention.tracks(job_id, self.faces_key))
        members, sets = self._members(), attention.sets(job_id, self.faces_key)
        unreadable: list[StoreError] = []
        for video_id, faces in sorted(sets.items()):
            with _collected(unreadable):
                found = known.get(video_id) or self._score_one(faces, areas.get(video_id, {}))
                if found is not None:
                    attention.write_attention(found, [self._ready(found)])
        _raise_first(unreadable)
        stored = attention.videos(job_id, self.attention_key)
        names = {video.video_id: video.given_name for video in members}
        missing = [name for video, name in names.items() if video not in stored]
        scores = {names[video]: one.score for video, one in stored.items()}
        version = content_key(self.attention_key, *(f"{v}{one.score}" for v, one in sorted(stored.items())))
        figures = {"videos": len(stored), "missing": missing, "scores": dict(list(scores.items())[:_SHOWN])}
        return StepReport(version, len(stored), figures)

    def _score_one(self, faces: FaceSet, areas: dict[int, float]) -> VideoAttention | None:
        series = [
            self.store.attention.series(self.job.job_id, self.faces_key, kind).get(faces.video_id)
            for kind in _KINDS
        ]
        with self._readable(faces):
            arrays = [read_arrays(self.media, one.local_path) for one in series if one is not None]
            if len(arrays) < len(_KINDS):
                return None
            tracks = attention_of(arrays[0], arrays[1], arrays[2], faces.fps, self.attention)
        presenter = presenter_of(tracks, areas)
        score = presenter.score if presenter else None
        return VideoAttention(
            faces.video_id,
            self.faces_key,
            self.attention_key,
            score.score if score else None,
            score.coverage if score else 0.0,
            score.confidence if score else 0.0,
            presenter.track if presenter else None,
            [track.to_json() for track in tracks],
        )

    @contextmanager
    def _readable(self, faces: FaceSet) -> Iterator[None]:
        """Files that hold nonsense are forgotten, so that a rerun looks at their video again."""
        try:
            yield
        except (ValueError, KeyError, EOFError, BadZipFile) as error:
            self.store.attention.forget(faces.video_id, faces.faces_key)
            raise StoreError(
                "attention.nonsense",
                f"video {faces.video_id}",
                f"what is stored of its faces cannot be read ({error})",
                "Run the analysis again: it looks at the video anew",
                retryable=True,
            ) from error

    def _ready(self, found: VideoAttention) -> Event:
        figures = {"score": found.score, "coverage": found.coverage, "confidence": found.confidence}
        told = {"video_id": str(found.video_id), "detector": self.detector, **figures}
        # Another detector, method or weight is another finding, which its followers want to know.
        item = str(uuid.uuid5(found.video_id, found.attention_key))
        return Event(self.job.job_id, "video.attention.ready", item, told)

    def completed(self, report: StepReport) -> Event:
        """The event of the whole analysis."""
        counts = {"videos": report.rows, "missing": len(report.figures["missing"])}
        return Event(self.job.job_id, "attention.analysis.completed", payload=counts)

    def _members(self) -> list[JobVideo]:
        members: dict[uuid.UUID, JobVideo] = {}
        for video in self.store.videos.members(self.job.job_id):
            members.setdefault(video.video_id, video)
        if not members:
            raise InputError(
                "attention.upstream",
                f"job {self.job.job_id}",
                "it has no videos yet",
                "Run the job first; its attention is computed apart",
            )
        return list(members.values())


#: Videos named in an asset's metadata.
_SHOWN: Final = 50
_KINDS: Final[Sequence[SeriesKind]] = ("head_pose", "gaze", "blinks")
_MEASURES: Final[dict[SeriesKind, Callable[[Iterator[FaceChunk]], Arrays]]] = {
    "head_pose": pose_series,
    "gaze": gaze_series,
    "blinks": eye_series,
}


@contextmanager
def _collected(unreadable: list[StoreError]) -> Iterator[None]:
    """Takes what cannot be read of one video, so that one rerun looks at all such videos anew."""
    try:
        yield
    except StoreError as error:
        if error.code != "attention.nonsense":
            raise
        unreadable.append(error)


def _raise_first(unreadable: list[StoreError]) -> None:
    if unreadable:
        raise unreadable[0]
