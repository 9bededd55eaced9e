"""Candidates, evidence of pairs, scores, matches, results."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from pvm_core.scoring.pair import UNSTORED, PairScore
from pvm_core.scoring.verdict import Verdict
from pvm_core.verification.mirror import FOUND_INLIERS, PLAIN_INLIERS, PLAIN_PRINT, FrameDoubt
from pvm_jobs.events import Event
from pvm_resources.postgres.driver import Copy, Statement
from pvm_resources.store.base import Repository, clean, columns, json, listed, rows
from pvm_resources.store.job_changes import outbox_write
from pvm_resources.store.labels import EFFECTIVE, SAID, VerdictFilter
from pvm_resources.store.match_record import (
    DECIDED,
    EVERY_NAME,
    EVIDENCE,
    PICTURES,
    STORED,
    EvidenceItem,
    MatchRecord,
    MatchView,
    reader,
    view,
)
from pvm_resources.store.records import Candidate, CandidatePair, MatchStatus, PairEvidenceRow

_JOB: Final = {"job_id": "text"}
_CANDIDATE: Final = columns(Candidate)
_EVIDENCE: Final = columns(PairEvidenceRow, raw="jsonb")
_SCORE: Final = columns(PairScore, without=UNSTORED)
#: The job has pictures of both sides of match m.
_JUDGED: Final = """
EXISTS (SELECT 1 FROM job_images i WHERE i.job_id = m.job_id AND i.product_id = m.product_id)
AND EXISTS (SELECT 1 FROM job_items f
            WHERE f.job_id = m.job_id AND f.kind = 'frame' AND f.parent_id = m.video_id)
"""
#: What an evidence picture shows; where any of it changes, the picture is made again.
_SHOWN: Final = (
    *("best_img_id", "best_frame_id", "ts", "score", "status", "reason_code", "reason_values"),
    *("sim_deep", "sim_kp", "sim_edge", "mirrored", "listing_group"),
)
_PAIRS: Final = """
SELECT c.frame_id, c.img_id, i.product_id, f.video_id, f.ts, f.shot, c.rank, c.sim_rgb, c.sim_gray,
       c.similarity{more}
FROM candidate_pairs c JOIN stored_frames f USING (frame_id) JOIN stored_images i USING (img_id) {join}
WHERE c.job_id = %(job)s {where}
ORDER BY f.video_id, f.ts, c.frame_id, c.rank, c.img_id
"""
_COMPARED: Final = "e.frame_id = c.frame_id AND e.img_id = c.img_id AND e.verify_key = %(key)s"
#: Of each frame of the job what `mirror.FrameDoubt` asks for; measurements not stored count as none.
_DOUBTS: Final = """
SELECT f.video_id, c.frame_id, min(f.shot), max(c.similarity),
       coalesce(bool_or((e.raw ->> 'mirrored') IS DISTINCT FROM 'true'
                        AND (e.raw ->> 'inliers')::int >= %(inliers)s
                        AND coalesce((e.raw ->> 'print_mid')::float8, 1) >= %(print)s), false),
       coalesce(bool_or(e.raw ? 'mirrored'), false),
       coalesce(bool_or(e.raw ->> 'mirrored' = 'true' AND (e.raw ->> 'inliers')::int >= %(found)s), false)
FROM candidate_pairs c JOIN stored_frames f USING (frame_id) JOIN pair_evidence e ON {compared}
WHERE c.job_id = %(job)s {where} GROUP BY 1, 2 ORDER BY 1, min(f.ts), 2
"""
_FILTER: Final = "WHERE m.job_id = %(job)s AND m.score >= %(min)s"
_ANY: Final = " AND (cardinality(%({slot})s::text[]) = 0 OR {what} = ANY(%({slot})s))"
#: By the score alone; by score or verdict; with a verdict standing over the score.
_SCORED: Final = _FILTER + _ANY.format(slot="statuses", what="m.status")
_EITHER: Final = (
    f"{_FILTER} AND (cardinality(%(statuses)s::text[]) = 0 "
    f"OR m.status = ANY(%(statuses)s) OR {EFFECTIVE} = ANY(%(statuses)s))"
)
_SHOWN_AS: Final = (
    _FILTER + _ANY.format(slot="statuses", what=EFFECTIVE) + _ANY.format(slot="verdicts", what=SAID)
)


class Matching(Repository):
    """Tables `candidate_pairs`, `pair_evidence`, `pair_scores`, `matches`."""

    # -- candidates --------------------------------------------------------------------------------

    def write_candidates(
        self, job_id: str, frame_ids: Sequence[uuid.UUID], candidates: Iterable[Candidate]
    ) -> None:
        """The candidates of these frames are exactly these."""
        gone = Statement(
            "DELETE FROM candidate_pairs c WHERE c.job_id = %s AND c.frame_id = ANY(%s) AND NOT EXISTS "
            "(SELECT 1 FROM {stage} s WHERE s.frame_id = c.frame_id AND s.img_id = c.img_id)",
            [job_id, list(frame_ids)],
        )
        copy = Copy(
            "candidate_pairs", _JOB | _CANDIDATE, rows(candidates, _CANDIDATE, job_id),
            ("job_id", "frame_id", "img_id"), update=[*_CANDIDATE][2:], before=[gone],
        )  # fmt: skip
        self._db.commit(copy)

    def prune_candidates(self, job_id: str) -> int:
        """Deletes candidates whose frame or picture the job no longer has; returns how many."""
        return self._execute(
            "DELETE FROM candidate_pairs c WHERE c.job_id = %(job)s AND ("
            "c.img_id NOT IN (SELECT img_id FROM job_images WHERE job_id = %(job)s) OR c.frame_id NOT IN "
            "(SELECT item_id FROM job_items WHERE job_id = %(job)s AND kind = 'frame'))",
            job=job_id,
        )

    def candidates(self, job_id: str) -> Iterator[CandidatePair]:
        """The job's candidates by video, time, frame and rank; streamed."""
        return self._db.stream(CandidatePair, _PAIRS.format(more="", join="", where=""), {"job": job_id})

    # -- evidence of pairs -------------------------------------------------------------------------

    def missing_evidence(
        self, job_id: str, verify_key: str, videos: Sequence[uuid.UUID] | None = None
    ) -> Iterator[CandidatePair]:
        """Candidates not compared yet under `verify_key`, in any job; ordered as `candidates`.

        Args:
            videos: whose frames, here and below; None: all of the job.
        """
        where = f"AND NOT EXISTS (SELECT 1 FROM pair_evidence e WHERE {_COMPARED}) {_of(videos)}"
        query = _PAIRS.format(more="", join="", where=where)
        return self._db.stream(CandidatePair, query, {"job": job_id, "key": verify_key, "videos": videos})

    def write_evidence(self, compared: Iterable[PairEvidenceRow], *, again: bool = False) -> None:
        """Stores raw measurements; a pair compared already under the same key keeps its own, unless it was
        looked at `again`."""
        values, key = rows(compared, _EVIDENCE, raw=json), ("frame_id", "img_id", "verify_key")
        self._db.commit(Copy("pair_evidence", _EVIDENCE, values, key, update=["raw"] if again else ()))

    def add_to_evidence(self, measured: Iterable[PairEvidenceRow]) -> None:
        """Adds further raw measurements to those of pairs that were compared under the same key."""
        given = list(measured)
        self._execute(
            "UPDATE pair_evidence e SET raw = e.raw || n.raw "
            "FROM unnest(%(frames)s::uuid[], %(images)s::uuid[], %(keys)s::text[], %(raws)s::jsonb[]) "
            "AS n (frame_id, img_id, verify_key, raw) "
            "WHERE e.frame_id = n.frame_id AND e.img_id = n.img_id AND e.verify_key = n.verify_key",
            frames=[one.frame_id for one in given], images=[one.img_id for one in given],
            keys=[one.verify_key for one in given], raws=[Jsonb(one.raw) for one in given],
        )  # fmt: skip

    def evidence(
        self, job_id: str, verify_key: str, videos: Sequence[uuid.UUID] | None = None
    ) -> Iterator[tuple[CandidatePair, dict[str, Any] | None]]:
        """Each candidate with its raw measurements, None where it was not compared; ordered as
        `candidates`."""
        join = f"LEFT JOIN pair_evidence e ON {_COMPARED}"
        query = _PAIRS.format(more=", e.raw", join=join, where=_of(videos))
        values = {"job": job_id, "key": verify_key, "videos": videos}
        for batch in self._db.batches(tuple_row, query, values):
            for *pair, raw in batch:
                yield CandidatePair(*pair), raw

    def mirror_doubts(
        self, job_id: str, verify_key: str, videos: Sequence[uuid.UUID] | None = None
    ) -> Iterator[tuple[uuid.UUID, FrameDoubt[uuid.UUID]]]:
        """The compared frames of the job, each with its video, in the order of videos; streamed."""
        limits = {"inliers": PLAIN_INLIERS, "print": PLAIN_PRINT, "found": FOUND_INLIERS}
        values = {"job": job_id, "key": verify_key, "videos": videos, **limits}
        query = _DOUBTS.format(compared=_COMPARED, where=_of(videos))
        for batch in self._db.batches(tuple_row, query, values):
            for video, *doubt in batch:
                yield video, FrameDoubt(*doubt)

    def evidence_of_frames(
        self, job_id: str, verify_key: str, frames: Sequence[uuid.UUID]
    ) -> Iterator[tuple[CandidatePair, dict[str, Any]]]:
        """The candidates of these frames that were compared, with their raw measurements; ordered as
        `candidates`."""
        join, where = f"JOIN pair_evidence e ON {_COMPARED}", "AND c.frame_id = ANY(%(frames)s)"
        query = _PAIRS.format(more=", e.raw", join=join, where=where)
        values = {"job": job_id, "key": verify_key, "frames": list(frames)}
        for batch in self._db.batches(tuple_row, query, values):
            for *pair, raw in batch:
                yield CandidatePair(*pair), raw

    # -- scores ------------------------------------------------------------------------------------

    def replace_scores(self, job_id: str, scores: Iterable[PairScore]) -> None:
        """The job's pair scores are exactly these; consumed as a stream."""
        gone = Statement(
            "DELETE FROM pair_scores p WHERE p.job_id = %s AND NOT EXISTS "
            "(SELECT 1 FROM {stage} s WHERE s.frame_id = p.frame_id AND s.img_id = p.img_id)",
            [job_id],
        )
        copy = Copy(
            "pair_scores", _JOB | _SCORE, rows(scores, _SCORE, job_id), ("job_id", "frame_id", "img_id"),
            update=[*_SCORE][2:], before=[gone],
        )  # fmt: skip
        self._db.commit(copy)

    def scores(self, job_id: str) -> Iterator[PairScore]:
        """The job's pair scores by product, video, time; streamed."""
        return self._db.stream(
            PairScore,
            f"SELECT {listed(_SCORE)} FROM pair_scores WHERE job_id = %s "
            "ORDER BY product_id, video_id, ts, frame_id, img_id",
            [job_id],
        )

    # -- matches -----------------------------------------------------------------------------------

    def replace_matches(
        self, job_id: str, matches: Iterable[MatchRecord], *, events: Iterable[Event] = ()
    ) -> None:
        """The job's matches are exactly these. A match that is the same as before keeps its evidence
        picture; one that changed loses it. A match whose pictures were purged stays as it is until the job
        has pictures of both its sides again, and so decides again.

        Raises:
            StoreError: ``store.refused`` where a status and its score disagree.
        """
        decided = ((job_id, *_values(m)) for m in matches)
        gone = Statement(
            "DELETE FROM matches m WHERE m.job_id = %s AND NOT EXISTS "
            "(SELECT 1 FROM {stage} s WHERE s.match_id = m.match_id) "
            f"AND (m.media_purged_at IS NULL OR ({_JUDGED}))",
            [job_id],
        )
        same = " AND ".join(f"t.{name} IS NOT DISTINCT FROM excluded.{name}" for name in _SHOWN)
        copy = Copy(
            "matches", _JOB | DECIDED, decided, ("match_id",), update=[*DECIDED][1:],
            extra={
                "evidence_path": f"CASE WHEN {same} THEN t.evidence_path END",
                "media_purged_at": "NULL::timestamptz",
            },
            before=[gone],
        )  # fmt: skip
        self._db.commit(copy, outbox_write(events))

    def set_evidence(self, job_id: str, paths: Mapping[uuid.UUID, str]) -> None:
        """Stores where the evidence pictures of some matches are (media keys)."""
        self._execute(
            "UPDATE matches m SET evidence_path = p.path "
            "FROM unnest(%s::uuid[], %s::text[]) p (match_id, path) "
            "WHERE m.match_id = p.match_id AND m.job_id = %s",
            list(paths),
            list(paths.values()),
            job_id,
        )

    def withdraw_evidence(self, job_id: str, match_ids: Sequence[uuid.UUID]) -> None:
        """Forgets where the evidence pictures of some matches are."""
        self._execute(
            "UPDATE matches SET evidence_path = NULL WHERE job_id = %(job)s AND match_id = ANY(%(ids)s)",
            job=job_id,
            ids=list(match_ids),
        )

    def matches(
        self, job_id: str, *, statuses: Sequence[MatchStatus] = (), min_score: float = 0.0
    ) -> list[MatchRecord]:
        """The job's matches, best first; `statuses` are what the score says."""
        return self._db.all(
            reader(MatchRecord),
            f"SELECT {STORED} FROM matches m {_SCORED} ORDER BY score DESC, match_id",
            _filter(job_id, statuses, min_score),
        )

    def with_pictures(self, job_id: str) -> list[MatchRecord]:
        """The job's matches that the score accepts or leaves to a reviewer, and others that have an evidence
        picture; best first."""
        wanted = "m.status IN ('accepted', 'review') OR m.evidence_path IS NOT NULL"
        return self._ordered(job_id, wanted)

    def to_check(self, job_id: str) -> list[MatchRecord]:
        """The job's matches that are accepted or whose score reaches what they were decided under; best
        first."""
        return self._ordered(job_id, "m.status = 'accepted' OR m.score >= m.accept")

    def _ordered(self, job_id: str, wanted: str) -> list[MatchRecord]:
        query = f"SELECT {STORED} FROM matches m WHERE m.job_id = %s AND ({wanted})"
        return self._db.all(reader(MatchRecord), f"{query} ORDER BY score DESC, match_id", [job_id])

    def verdicts(self, job_id: str) -> dict[tuple[uuid.UUID, uuid.UUID], Verdict]:
        """(product, video) -> what people said of it in the industry of the job."""
        found = self._db.tuples(
            "SELECT l.product_id, l.video_id, l.verdict FROM labels l JOIN jobs j USING (industry) "
            "WHERE j.job_id = %s AND l.superseded_at IS NULL AND l.verdict <> 'none'",
            [job_id],
        )
        return {(product, video): verdict for product, video, verdict in found}

    def match_items(
        self,
        job_id: str,
        *,
        statuses: Sequence[MatchStatus] = (),
        min_score: float = 0.0,
        only: Sequence[uuid.UUID] | None = None,
    ) -> Iterator[EvidenceItem]:
        """Matches with what their evidence pictures show, best first; streamed.

        Args:
            statuses: by the score or by a verdict.
            only: of these matches; None: of all.
        """
        where = _EITHER if only is None else f"{_EITHER} AND m.match_id = ANY(%(only)s)"
        query = view("m.score DESC, m.match_id", where=where, joins=PICTURES, more=EVIDENCE)
        values = {**_filter(job_id, statuses, min_score), "only": only}
        return self._db.stream(reader(EvidenceItem), query, values)

    def results(
        self,
        job_id: str,
        *,
        min_score: float = 0.0,
        statuses: Sequence[MatchStatus] = (),
        verdicts: Sequence[VerdictFilter] = (),
        limit: int | None = None,
    ) -> Iterator[MatchView]:
        """Matches with ids as given, one row per given name of a video, best first; streamed.

        Args:
            statuses: a verdict stands over the score.
            verdicts: ``none``: nobody judged it.
        """
        order = "m.score DESC, p.asin_or_itemid, v.position, v.given_name LIMIT %(limit)s"
        query = view(order, where=_SHOWN_AS, names=EVERY_NAME)
        values = {**_filter(job_id, statuses, min_score), "verdicts": list(verdicts), "limit": limit}
        return self._db.stream(reader(MatchView), query, values)


def _of(videos: Sequence[uuid.UUID] | None) -> str:
    # One plan with the condition switched by a parameter would use no index.
    return "" if videos is None else "AND f.video_id = ANY(%(videos)s)"


def _values(match: MatchRecord) -> list[Any]:
    row = match.row()
    values = {k: clean(v) if isinstance(v, str) else v for k, v in row["reason_values"].items()}
    return [json(values) if name == "reason_values" else row[name] for name in DECIDED]


def _filter(job_id: str, statuses: Sequence[MatchStatus], min_score: float) -> dict[str, Any]:
    return {"job": job_id, "statuses": list(statuses), "min": min_score}


def evidence_key(job_id: str, match_id: uuid.UUID, *, blurred: bool = False) -> str:
    """Where a match's evidence picture lies in the media store, or that with its faces blurred."""
    return f"evidence/{job_id}/{'blurred/' if blurred else ''}{match_id}.jpg"
