"""Candidates, evidence of pairs, scores, matches, results."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from psycopg.rows import tuple_row

from pvm_jobs.events import Event
from pvm_resources.postgres.driver import Copy, Statement, Write
from pvm_resources.store.base import Repository, clean, json
from pvm_resources.store.labels import JOIN
from pvm_resources.store.records import (
    Candidate,
    CandidatePair,
    Match,
    MatchItem,
    MatchStatus,
    PairEvidenceRow,
    PairScoreRow,
    Result,
)

_CANDIDATE: Final = {
    "job_id": "text", "frame_id": "uuid", "img_id": "uuid", "rank": "int4", "sim_rgb": "float8",
    "sim_gray": "float8", "similarity": "float8",
}  # fmt: skip
_EVIDENCE: Final = {"frame_id": "uuid", "img_id": "uuid", "verify_key": "text", "raw": "jsonb"}
_SCORE: Final = {
    "job_id": "text", "frame_id": "uuid", "img_id": "uuid", "product_id": "uuid", "video_id": "uuid",
    "ts": "float8", "shot": "int4", "sim_deep": "float8", "sim_kp": "float8", "sim_edge": "float8",
    "score_pair": "float8",
}  # fmt: skip
_MATCH: Final = {
    "job_id": "text", "match_id": "uuid", "product_id": "uuid", "video_id": "uuid", "best_img_id": "uuid",
    "best_frame_id": "uuid", "ts": "float8", "score": "float8", "accept": "float8", "status": "text",
    "reason": "text", "sim_deep": "float8", "sim_kp": "float8", "sim_edge": "float8", "score_pair": "float8",
    "consistency": "int4", "coverage": "int4", "calibration": "text", "embed_model": "text",
    "rules_key": "text",
}  # fmt: skip
_FIELDS: Final = tuple(name for name in _MATCH if name != "job_id")
_STORED: Final = (*_FIELDS, "evidence_path", "media_purged_at")
#: The job has pictures of both sides of match m.
_JUDGED: Final = """
EXISTS (SELECT 1 FROM job_images i WHERE i.job_id = m.job_id AND i.product_id = m.product_id)
AND EXISTS (SELECT 1 FROM job_items f
            WHERE f.job_id = m.job_id AND f.kind = 'frame' AND f.parent_id = m.video_id)
"""
#: What an evidence picture shows; where any of it changes, the picture is made again.
_SHOWN: Final = (
    "best_img_id",
    "best_frame_id",
    "ts",
    "score",
    "status",
    "reason",
    "sim_deep",
    "sim_kp",
    "sim_edge",
)

_PAIRS: Final = """
SELECT c.frame_id, c.img_id, i.product_id, f.video_id, f.ts, f.shot, c.rank, c.sim_rgb, c.sim_gray,
       c.similarity{more}
FROM candidate_pairs c JOIN stored_frames f USING (frame_id) JOIN stored_images i USING (img_id) {join}
WHERE c.job_id = %(job)s {where}
ORDER BY f.video_id, f.ts, c.frame_id, c.rank, c.img_id
"""


class Matching(Repository):
    """Tables `candidate_pairs`, `pair_evidence`, `pair_scores`, `matches`."""

    # -- candidates --------------------------------------------------------------------------------

    def write_candidates(
        self,
        job_id: str,
        frame_ids: Sequence[uuid.UUID],
        candidates: Iterable[Candidate],
        *,
        events: Iterable[Event] = (),
        also: Sequence[Write] = (),
    ) -> None:
        """The candidates of these frames are exactly these."""
        rows = (
            (job_id, c.frame_id, c.img_id, c.rank, c.sim_rgb, c.sim_gray, c.similarity) for c in candidates
        )
        gone = Statement(
            "DELETE FROM candidate_pairs c WHERE c.job_id = %s AND c.frame_id = ANY(%s) AND NOT EXISTS "
            "(SELECT 1 FROM {stage} s WHERE s.frame_id = c.frame_id AND s.img_id = c.img_id)",
            [job_id, list(frame_ids)],
        )
        copy = Copy(
            "candidate_pairs", _CANDIDATE, rows, ("job_id", "frame_id", "img_id"),
            update=("rank", "sim_rgb", "sim_gray", "similarity"), before=[gone],
        )  # fmt: skip
        self._db.commit(copy, *also, events=events)

    def prune_candidates(self, job_id: str) -> int:
        """Drops candidates whose frame or picture the job no longer has; returns how many."""
        return self._db.commit(
            Statement(
                "DELETE FROM candidate_pairs c WHERE c.job_id = %(job)s AND ("
                "c.img_id NOT IN (SELECT img_id FROM job_images WHERE job_id = %(job)s) OR c.frame_id NOT IN "
                "(SELECT item_id FROM job_items WHERE job_id = %(job)s AND kind = 'frame'))",
                {"job": job_id},
            )
        )[0]

    def candidates(self, job_id: str) -> Iterator[CandidatePair]:
        """The job's candidates by video, time, frame and rank; streamed."""
        return self._db.stream(CandidatePair, _PAIRS.format(more="", join="", where=""), {"job": job_id})

    # -- evidence of pairs -------------------------------------------------------------------------

    def missing_evidence(self, job_id: str, verify_key: str) -> Iterator[CandidatePair]:
        """Candidates not compared yet under `verify_key`, in any job; ordered as `candidates`."""
        where = (
            "AND NOT EXISTS (SELECT 1 FROM pair_evidence e WHERE e.frame_id = c.frame_id "
            "AND e.img_id = c.img_id AND e.verify_key = %(key)s)"
        )
        return self._db.stream(
            CandidatePair, _PAIRS.format(more="", join="", where=where), {"job": job_id, "key": verify_key}
        )

    def write_evidence(
        self, rows: Iterable[PairEvidenceRow], *, events: Iterable[Event] = (), also: Sequence[Write] = ()
    ) -> None:
        """Stores raw figures; a pair compared already under the same key keeps its own."""
        values = ((r.frame_id, r.img_id, r.verify_key, json(r.raw)) for r in rows)
        copy = Copy("pair_evidence", _EVIDENCE, values, ("frame_id", "img_id", "verify_key"))
        self._db.commit(copy, *also, events=events)

    def evidence(self, job_id: str, verify_key: str) -> Iterator[tuple[CandidatePair, dict[str, Any] | None]]:
        """Each candidate with its raw figures, None where it was not compared; ordered as `candidates`."""
        query = _PAIRS.format(
            more=", e.raw",
            join="LEFT JOIN pair_evidence e ON e.frame_id = c.frame_id AND e.img_id = c.img_id "
            "AND e.verify_key = %(key)s",
            where="",
        )
        for rows in self._db.batches(tuple_row, query, {"job": job_id, "key": verify_key}):
            for *pair, raw in rows:
                yield CandidatePair(*pair), raw

    # -- scores ------------------------------------------------------------------------------------

    def replace_scores(
        self, job_id: str, scores: Iterable[PairScoreRow], *, also: Sequence[Write] = ()
    ) -> None:
        """The job's pair scores are exactly these; consumed as a stream."""
        rows = (
            (job_id, s.frame_id, s.img_id, s.product_id, s.video_id, s.ts, s.shot, s.sim_deep, s.sim_kp,
             s.sim_edge, s.score_pair) for s in scores
        )  # fmt: skip
        gone = Statement(
            "DELETE FROM pair_scores p WHERE p.job_id = %s AND NOT EXISTS "
            "(SELECT 1 FROM {stage} s WHERE s.frame_id = p.frame_id AND s.img_id = p.img_id)",
            [job_id],
        )
        copy = Copy(
            "pair_scores",
            _SCORE,
            rows,
            ("job_id", "frame_id", "img_id"),
            update=tuple(_SCORE)[3:],
            before=[gone],
        )
        self._db.commit(copy, *also)

    def scores(self, job_id: str) -> Iterator[PairScoreRow]:
        """The job's pair scores by product, video, time; streamed."""
        return self._db.stream(
            PairScoreRow,
            f"SELECT {', '.join(tuple(_SCORE)[1:])} FROM pair_scores WHERE job_id = %s "
            "ORDER BY product_id, video_id, ts, frame_id, img_id",
            [job_id],
        )

    # -- matches -----------------------------------------------------------------------------------

    def replace_matches(
        self,
        job_id: str,
        matches: Iterable[Match],
        *,
        events: Iterable[Event] = (),
        also: Sequence[Write] = (),
    ) -> None:
        """The job's matches are exactly these. A match that is the same as before keeps its evidence
        picture; one that changed loses it. A match whose pictures were purged stays as it is until the job
        has pictures of both its sides again, and so judges it anew.

        Raises:
            StoreError: ``store.refused`` where a status and its score disagree.
        """
        rows = ((job_id, *(_value(m, name) for name in _FIELDS)) for m in matches)
        gone = Statement(
            "DELETE FROM matches m WHERE m.job_id = %s AND NOT EXISTS "
            "(SELECT 1 FROM {stage} s WHERE s.match_id = m.match_id) "
            f"AND (m.media_purged_at IS NULL OR ({_JUDGED}))",
            [job_id],
        )
        same = " AND ".join(f"t.{name} IS NOT DISTINCT FROM excluded.{name}" for name in _SHOWN)
        copy = Copy(
            "matches", _MATCH, rows, ("match_id",), update=_FIELDS[1:],
            extra={
                "evidence_path": f"CASE WHEN {same} THEN t.evidence_path END",
                "media_purged_at": "NULL::timestamptz",
            },
            before=[gone],
        )  # fmt: skip
        self._db.commit(copy, *also, events=events)

    def set_evidence(
        self,
        job_id: str,
        paths: Mapping[uuid.UUID, str],
        *,
        events: Iterable[Event] = (),
        also: Sequence[Write] = (),
    ) -> None:
        """Stores where the evidence pictures of some matches are (media keys)."""
        self._db.commit(
            Statement(
                "UPDATE matches m SET evidence_path = p.path FROM "
                "(SELECT unnest(%s::uuid[]) AS match_id, unnest(%s::text[]) AS path) p "
                "WHERE m.match_id = p.match_id AND m.job_id = %s",
                [list(paths), list(paths.values()), job_id],
            ),
            *also,
            events=events,
        )

    def matches(
        self, job_id: str, *, statuses: Sequence[MatchStatus] = (), min_score: float = 0.0
    ) -> list[Match]:
        """The job's matches, best first."""
        return self._db.all(
            Match,
            f"SELECT {', '.join(_STORED)} FROM matches m {_FILTER} ORDER BY score DESC, match_id",
            _filter(job_id, statuses, min_score),
        )

    def match_items(
        self,
        job_id: str,
        *,
        statuses: Sequence[MatchStatus] = (),
        min_score: float = 0.0,
        without_evidence: bool = False,
    ) -> Iterator[MatchItem]:
        """Matches with what their evidence pictures show, best first; streamed.

        Args:
            without_evidence: only those whose picture is not made yet and can be made.
        """
        more = (
            " AND m.evidence_path IS NULL AND i.img_id IS NOT NULL AND f.frame_id IS NOT NULL"
            if without_evidence
            else ""
        )
        query = (
            f"SELECT {', '.join('m.' + name for name in _STORED)}, {_SHOWS} "
            f"{_FILTER}{more} ORDER BY m.score DESC, m.match_id"
        )
        size = len(_STORED)
        for rows in self._db.batches(tuple_row, query, _filter(job_id, statuses, min_score)):
            for row in rows:
                yield MatchItem(Match(*row[:size]), *row[size:])

    def results(
        self,
        job_id: str,
        *,
        min_score: float = 0.0,
        statuses: Sequence[MatchStatus] = (),
        limit: int | None = None,
    ) -> Iterator[Result]:
        """Matches with ids as given, one row per given name of a video, best first; streamed."""
        return self._db.stream(
            Result,
            f"{_RESULTS} {JOIN} {_FILTER} "
            "ORDER BY m.score DESC, p.asin_or_itemid, v.position, v.given_name LIMIT %(limit)s",
            {**_filter(job_id, statuses, min_score), "limit": limit},
        )


_FILTER: Final = (
    "WHERE m.job_id = %(job)s AND m.score >= %(min)s "
    "AND (cardinality(%(statuses)s::text[]) = 0 OR m.status = ANY(%(statuses)s))"
)
_SHOWS: Final = """p.src, p.asin_or_itemid, p.title, p.brand,
  ARRAY(SELECT given_name FROM job_videos v WHERE v.job_id = m.job_id AND v.video_id = m.video_id
        ORDER BY v.position, v.given_name),
  i.local_path, f.local_path, e.raw
FROM matches m
JOIN products p USING (product_id)
LEFT JOIN stored_images i ON i.img_id = m.best_img_id
LEFT JOIN stored_frames f ON f.frame_id = m.best_frame_id
JOIN jobs j ON j.job_id = m.job_id
LEFT JOIN pair_evidence e ON e.frame_id = m.best_frame_id AND e.img_id = m.best_img_id
     AND e.verify_key = j.keys ->> 'verify'
"""
_RESULTS: Final = """
SELECT m.job_id, m.match_id, p.asin_or_itemid AS product, v.given_name AS video, m.score, m.ts, m.status,
       m.evidence_path AS evidence, m.sim_deep, m.sim_kp, m.sim_edge, m.score_pair, m.consistency, m.coverage,
       m.reason, p.title, p.brand, p.url, m.embed_model, m.calibration, m.media_purged_at AS purged_at,
       l.verdict AS label
FROM matches m JOIN jobs j USING (job_id) JOIN products p USING (product_id)
JOIN job_videos v ON v.job_id = m.job_id AND v.video_id = m.video_id
"""


def _value(match: Match, name: str) -> Any:
    value = getattr(match, name)
    return clean(value) if name == "reason" else value


def _filter(job_id: str, statuses: Sequence[MatchStatus], min_score: float) -> dict[str, Any]:
    return {"job": job_id, "statuses": list(statuses), "min": min_score}


def evidence_key(job_id: str, match_id: uuid.UUID) -> str:
    """Where a match's evidence picture lies in the media store."""
    return f"evidence/{job_id}/{match_id}.jpg"
