"""What the API reads: pages by keyset, single things, and figures for a monitor.

A page goes on after the last row of the one before, so a row is met once whatever is written meanwhile.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pvm_core.errors import InputError
from pvm_jobs.lifecycle import JobStatus
from pvm_resources.store.base import Repository, listed
from pvm_resources.store.labels import EFFECTIVE, SAID, VerdictFilter
from pvm_resources.store.match_record import (
    ATTENTION,
    EVIDENCE,
    LABELLED,
    PICTURES,
    EvidenceItem,
    MatchView,
    one_match,
    page,
    reader,
    unknown_match,
    where,
)
from pvm_resources.store.records import MatchStatus, OutboxEvent


@dataclass(frozen=True)
class JobRow:
    """A job in a list."""

    job_id: str
    industry: str
    status: JobStatus
    phase: str
    error: dict[str, Any] | None
    embed_model: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    archived_at: datetime | None


#: Orders of results: best first; ``doubt``: nearest to the threshold first, where a verdict says most;
#: ``attention``: the presenter who holds the viewer first, what is unknown last.
ResultSort = Literal["best", "doubt", "attention"]
_ATTENTION: Final = "coalesce(att.score, -1)"
_ORDER: Final[dict[ResultSort, str]] = {
    "best": "m.score DESC",
    "doubt": "abs(m.score - m.accept)",
    "attention": f"{_ATTENTION} DESC",
}
#: What comes after a place in that order.
_BEYOND: Final[dict[ResultSort, str]] = {
    "best": "m.score <= %(place)s AND (m.score < %(place)s OR m.match_id > %(match)s)",
    "doubt": "(abs(m.score - m.accept), m.match_id) > (%(place)s::float8, %(match)s::uuid)",
    "attention": f"(-{_ATTENTION}, m.match_id) > (-%(place)s::float8, %(match)s::uuid)",
}


@dataclass(frozen=True)
class ResultFilter:
    """Which matches are wanted; None: any.

    Attributes:
        jobs: of these jobs; none of them: nothing.
        statuses: a verdict stands over the score.
        verdicts: ``none``: nobody judged it.
        sort: the order of the pages.
    """

    jobs: Sequence[str] | None = None
    min_score: float = 0.0
    statuses: Sequence[MatchStatus] = ()
    product: uuid.UUID | None = None
    video: uuid.UUID | None = None
    verdicts: Sequence[VerdictFilter] = ()
    sort: ResultSort = "best"

    def place(self, row: MatchView) -> float:
        """What `row` is ordered by: its score, how far it is from the threshold, or its video's attention."""
        if self.sort == "attention":
            return -1.0 if row.attention is None else row.attention
        return row.score if self.sort == "best" else abs(row.score - row.accept)


@dataclass(frozen=True)
class PictureRow:
    """A picture of a product, or a frame of a video (`ts` in seconds)."""

    item_id: uuid.UUID
    width: int
    height: int
    ts: float | None = None


@dataclass(frozen=True)
class VideoRow:
    """A video."""

    video_id: uuid.UUID
    platform: str
    url: str
    title: str
    duration_s: float | None
    published_at: datetime | None
    width: int | None
    height: int | None
    sha256: str
    created_at: datetime


@dataclass(frozen=True)
class ProblemRow:
    """A failure that concerned one item; `item_hash` (hex) tells items apart."""

    stage: str
    item: str
    code: str
    message: str
    retryable: bool
    item_hash: str


_JOB: Final = listed(JobRow)


class MatchQueries(Repository):
    """Reads across the tables; writes nothing."""

    # -- jobs --------------------------------------------------------------------------------------

    def jobs(
        self,
        limit: int,
        *,
        industry: str | None = None,
        statuses: Sequence[JobStatus] = (),
        archived: bool = False,
        after: tuple[datetime, str] | None = None,
    ) -> list[JobRow]:
        """Jobs, newest first.

        Args:
            after: `created_at` and id of the last job of the page before.
        """
        at, job = after or (None, "")
        return self._db.all(
            JobRow,
            f"SELECT {_JOB} FROM jobs WHERE (%(industry)s::text IS NULL OR industry = %(industry)s) "
            "AND (cardinality(%(statuses)s::text[]) = 0 OR status = ANY(%(statuses)s)) "
            "AND (archived_at IS NOT NULL) = %(archived)s "
            "AND (%(at)s::timestamptz IS NULL OR (created_at, job_id) < (%(at)s::timestamptz, %(job)s)) "
            "ORDER BY created_at DESC, job_id DESC LIMIT %(limit)s",
            {"industry": industry, "statuses": list(statuses), "archived": archived, "at": at, "job": job,
             "limit": limit},
        )  # fmt: skip

    def job(self, job_id: str) -> JobRow:
        """One job.

        Raises:
            InputError: ``job.unknown``.
        """
        found = self._db.one(JobRow, f"SELECT {_JOB} FROM jobs WHERE job_id = %s", [job_id])
        if found is None:
            raise InputError("job.unknown", job_id, "no such job", "See the list of jobs")
        return found

    def events(self, job_id: str, limit: int, after: int = 0) -> list[OutboxEvent]:
        """Events of a job in the order they were written, from a `seq` on."""
        return self._db.all(
            OutboxEvent,
            f"SELECT {listed(OutboxEvent)} FROM outbox WHERE job_id = %s AND seq > %s ORDER BY seq LIMIT %s",
            [job_id, after, limit],
        )

    def phase_events(self, job_ids: Sequence[str]) -> dict[str, list[str]]:
        """Names of the per-job events received, by job."""
        rows = self._db.tuples(
            "SELECT job_id, array_agg(name) FROM phase_events WHERE job_id = ANY(%s) GROUP BY job_id",
            [list(job_ids)],
        )
        return {job: list(names) for job, names in rows}

    def problems(
        self, job_id: str, limit: int, after: tuple[str, str, str] | None = None
    ) -> list[ProblemRow]:
        """Problems of a job by stage; `after` is stage, item hash and code of the last one seen."""
        stage, item, code = after or ("", "", "")
        return self._db.all(
            ProblemRow,
            "SELECT stage, item, code, message, retryable, encode(item_hash, 'hex') AS item_hash "
            "FROM problems WHERE job_id = %(job)s "
            "AND (NOT %(on)s OR (stage, item_hash, code) > (%(stage)s, decode(%(item)s, 'hex'), %(code)s)) "
            "ORDER BY stage, item_hash, code LIMIT %(limit)s",
            {"job": job_id, "on": after is not None, "stage": stage, "item": item, "code": code,
             "limit": limit},
        )  # fmt: skip

    # -- results -----------------------------------------------------------------------------------

    def latest_jobs(self, industry: str | None, as_of: datetime) -> list[str]:
        """Each industry's job that completed last before `as_of`; of one industry (slug) where given."""
        rows = self._db.tuples(
            "SELECT DISTINCT ON (industry) job_id FROM jobs WHERE status = 'completed' "
            "AND finished_at <= %(as_of)s AND (%(industry)s::text IS NULL OR industry = %(industry)s) "
            "ORDER BY industry, finished_at DESC, job_id DESC",
            {"as_of": as_of, "industry": industry},
        )
        return [row[0] for row in rows]

    def job_ids(self, industry: str) -> list[str]:
        """Every job of an industry (slug)."""
        return [r[0] for r in self._db.tuples("SELECT job_id FROM jobs WHERE industry = %s", [industry])]

    def results(
        self, wanted: ResultFilter, limit: int, after: tuple[float, uuid.UUID] | None = None
    ) -> list[MatchView]:
        """Matches in the order wanted; `after` is `ResultFilter.place` and id of the last one of the page
        before."""
        if wanted.jobs is not None and not wanted.jobs:
            return []
        clause, values = _where(wanted, after)
        joins = f"{LABELLED} {ATTENTION}" if wanted.sort == "attention" else LABELLED
        query = page(clause, f"{_ORDER[wanted.sort]}, m.match_id", joins)
        return self._db.all(reader(MatchView), query, {**values, "limit": limit})

    def count(self, wanted: ResultFilter) -> int:
        """How many matches there are."""
        clause, values = _where(wanted, None)
        return int(self._db.value(f"SELECT count(*) FROM matches m {LABELLED} {clause}", values))

    def match(self, match_id: uuid.UUID) -> MatchView:
        """One match.

        Raises:
            InputError: ``match.unknown``.
        """
        found = self._db.one(reader(MatchView), *one_match(match_id))
        if found is None:
            raise unknown_match(match_id)
        return found

    def evidence_item(self, match_id: uuid.UUID) -> EvidenceItem:
        """One match with what its evidence picture shows.

        Raises:
            InputError: ``match.unknown``.
        """
        found = self._db.one(reader(EvidenceItem), *one_match(match_id, more=EVIDENCE, joins=PICTURES))
        if found is None:
            raise unknown_match(match_id)
        return found

    # -- products and videos -----------------------------------------------------------------------

    def pictures(self, product_id: uuid.UUID, limit: int = 100) -> list[PictureRow]:
        """Stored pictures of a product, oldest first."""
        return self._db.all(
            PictureRow,
            "SELECT img_id AS item_id, width, height FROM stored_images WHERE product_id = %s "
            "ORDER BY created_at, img_id LIMIT %s",
            [product_id, limit],
        )

    def video(self, video_id: uuid.UUID) -> VideoRow:
        """One video.

        Raises:
            InputError: ``video.unknown``.
        """
        found = self._db.one(
            VideoRow,
            f"SELECT {listed(VideoRow)} FROM videos WHERE video_id = %s",
            [video_id],
        )
        if found is None:
            raise _unknown("video", video_id)
        return found

    def frames(self, video_id: uuid.UUID, limit: int = 100) -> list[PictureRow]:
        """Kept keyframes of a video, by time."""
        return self._db.all(
            PictureRow,
            "SELECT frame_id AS item_id, width, height, ts FROM stored_frames "
            "WHERE video_id = %s AND status = 'kept' ORDER BY ts, frame_id LIMIT %s",
            [video_id, limit],
        )

    # -- where pictures and videos are -------------------------------------------------------------

    def image_key(self, img_id: uuid.UUID) -> str | None:
        """Media key of a product picture."""
        return _text(self._db.value("SELECT local_path FROM stored_images WHERE img_id = %s", [img_id]))

    def frame_key(self, frame_id: uuid.UUID) -> str | None:
        """Media key of a keyframe."""
        return _text(self._db.value("SELECT local_path FROM stored_frames WHERE frame_id = %s", [frame_id]))

    def evidence_key(self, match_id: uuid.UUID) -> str | None:
        """Media key of a match's evidence picture."""
        return _text(self._db.value("SELECT evidence_path FROM matches WHERE match_id = %s", [match_id]))

    def origins(self, item: uuid.UUID) -> tuple[set[str], set[str]]:
        """Where the pixels of a product picture, a frame, a video or a match's evidence come from: sources of
        products, platforms of videos."""
        found = self._db.tuples(
            "SELECT src, NULL FROM stored_images JOIN products USING (product_id) WHERE img_id = %(item)s "
            "UNION ALL SELECT NULL, platform FROM stored_frames JOIN videos USING (video_id) "
            "WHERE frame_id = %(item)s "
            "UNION ALL SELECT NULL, platform FROM videos WHERE video_id = %(item)s "
            "UNION ALL SELECT p.src, v.platform FROM matches JOIN products p USING (product_id) "
            "JOIN videos v USING (video_id) WHERE match_id = %(item)s",
            {"item": item},
        )
        return {row[0] for row in found if row[0]}, {row[1] for row in found if row[1]}

    def video_places(self, video_id: uuid.UUID) -> list[tuple[str, int | None]]:
        """Where the video's file was last seen, and its size in bytes: downloads that are kept first, then
        the files of folders, newest job first."""
        rows = self._db.tuples(
            "SELECT path, size FROM (SELECT path, size, 0 AS rank, fetched_at AS at FROM video_files "
            "WHERE video_id = %(video)s AND deleted_at IS NULL UNION ALL "
            "SELECT v.source_ref, v.size, 1, j.created_at FROM job_videos v JOIN jobs j USING (job_id) "
            "WHERE v.video_id = %(video)s) f ORDER BY rank, at DESC LIMIT 20",
            {"video": video_id},
        )
        return [(str(path), size) for path, size in rows]

    # -- search ------------------------------------------------------------------------------------

    def image_of(self, img_id: uuid.UUID, model_key: str) -> list[float] | None:
        """The stored vector of a product picture as a whole; None where the model has none of it."""
        found = self._db.value(
            "SELECT emb_rgb::text FROM embeddings WHERE item_id = %s AND model_key = %s AND view = 0",
            [img_id, model_key],
        )
        return None if found is None else [float(part) for part in str(found).strip("[]").split(",")]

    # -- figures -----------------------------------------------------------------------------------

    def phases(self) -> dict[str, int]:
        """Jobs by phase, archived ones left out."""
        return _counts(
            self._db.tuples("SELECT phase, count(*) FROM jobs WHERE archived_at IS NULL GROUP BY phase")
        )

    def event_counts(self, after: int, until: int | None = None) -> dict[str, int]:
        """Events by name with a `seq` greater than `after`, up to `until`."""
        rows = self._db.tuples(
            "SELECT name, count(*) FROM outbox WHERE seq > %s AND seq <= coalesce(%s::bigint, seq) "
            "GROUP BY name",
            [after, until],
        )
        return _counts(rows)

    def settled(self) -> int:
        """The greatest `seq` below which no event can appear any more: none is younger than an hour."""
        return int(
            self._db.value(
                "SELECT coalesce((SELECT seq FROM outbox WHERE created_at < now() - interval '1 hour' "
                "ORDER BY seq DESC LIMIT 1), 0)"
            )
        )

    def waiting_deliveries(self) -> int:
        """Events that wait for an endpoint."""
        return int(
            self._db.value("SELECT count(*) FROM deliveries WHERE delivered_at IS NULL AND dead_at IS NULL")
        )

    def stage_seconds(self) -> list[tuple[str, int, float]]:
        """(stage, jobs, seconds in all) of the day's jobs: from the end of the asset before to its own."""
        rows = self._db.tuples(
            "SELECT asset, count(*), sum(seconds)::float8 FROM (SELECT s.asset, extract(epoch FROM "
            "s.finished_at - coalesce(lag(s.finished_at) OVER job, j.started_at)) AS seconds "
            "FROM asset_states s JOIN jobs j USING (job_id) WHERE j.finished_at > now() - interval '1 day' "
            "WINDOW job AS (PARTITION BY s.job_id ORDER BY s.finished_at)) t "
            "WHERE seconds >= 0 GROUP BY asset ORDER BY asset"
        )
        return [(str(asset), int(count), float(seconds)) for asset, count, seconds in rows]

    def start_seconds(self) -> tuple[int, float]:
        """(runs, seconds in all) from the request to the start of its run, over the day's runs."""
        rows = self._db.tuples(
            "SELECT count(*), coalesce(sum(extract(epoch FROM j.started_at - i.received_at)), 0)::float8 "
            "FROM inbox i JOIN jobs j USING (job_id) WHERE i.topic = 'job.start' "
            "AND j.started_at > now() - interval '1 day' AND j.started_at >= i.received_at"
        )
        return int(rows[0][0]), float(rows[0][1])


def _where(wanted: ResultFilter, after: tuple[float, uuid.UUID] | None) -> tuple[str, dict[str, Any]]:
    jobs, statuses = wanted.jobs or (), wanted.statuses
    place, last = after or (None, None)
    # The index by score gives the order as well, and the score lets it start where a page does.
    return where(
        (
            (len(jobs) == 1, "m.job_id = %(job)s", {"job": next(iter(jobs), None)}),
            (len(jobs) > 1, "m.job_id = ANY(%(jobs)s)", {"jobs": list(jobs)}),
            (wanted.min_score > 0, "m.score >= %(min)s", {"min": wanted.min_score}),
            (bool(statuses), f"{EFFECTIVE} = ANY(%(statuses)s)", {"statuses": list(statuses)}),
            (bool(wanted.verdicts), f"{SAID} = ANY(%(said)s)", {"said": list(wanted.verdicts)}),
            (wanted.product is not None, "m.product_id = %(product)s", {"product": wanted.product}),
            (wanted.video is not None, "m.video_id = %(video)s", {"video": wanted.video}),
            (
                after is not None,
                _BEYOND[wanted.sort],
                {"place": place, "match": last},
            ),
        )
    )


def _unknown(kind: str, found: uuid.UUID) -> InputError:
    return InputError(f"{kind}.unknown", str(found), f"no such {kind}", "Take the id from the results")


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _counts(rows: Sequence[tuple[Any, ...]]) -> dict[str, int]:
    return {str(name): int(count) for name, count in rows}
