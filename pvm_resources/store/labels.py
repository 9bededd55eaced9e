"""Labels: people's verdicts on matches, kept across reruns, their undoing, and the precision they show.

A verdict belongs to a product and a video within an industry, so it applies to the match of a later job.
Rows are only added; the newest of a pair counts and records the version of the match it was given on.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, cast

from psycopg import sql

from pvm_core.errors import InputError
from pvm_core.proportions import lower_bound
from pvm_core.scoring.verdict import OVERRULES, Verdict, effective_status
from pvm_jobs.events import Event
from pvm_jobs.source_policy import Policies
from pvm_resources.postgres.driver import Database
from pvm_resources.store.base import Cursor, Repository, clean, columns, insert, listed
from pvm_resources.store.job_changes import emit
from pvm_resources.store.records import MatchStatus

#: Verdicts to filter by; ``none``: nobody judged it.
VerdictFilter = Literal["accept", "reject", "unsure", "none"]
_WHO_MAX: Final = 100
#: Joins the label that counts to a table of matches m of jobs j.
JOIN: Final = """
LEFT JOIN labels l ON l.industry = j.industry AND l.product_id = m.product_id AND l.video_id = m.video_id
     AND l.superseded_at IS NULL AND l.verdict <> 'none'
"""
_WHEN: Final = " ".join(f"WHEN '{said}' THEN '{status}'" for said, status in OVERRULES.items())
#: The status of a match m under its label l (`JOIN`), as `effective_status` has it.
EFFECTIVE: Final = f"(CASE l.verdict {_WHEN} ELSE m.status END)"
#: The verdict on a match m under its label l; ``none`` where there is none.
SAID: Final = "coalesce(l.verdict, 'none')"
#: Matches of a pair that readers may hold: in the job it was judged in, and in the industry's latest one.
_SAME_PAIR: Final = """
SELECT m.match_id, m.job_id, m.product_id, m.video_id, m.score, m.ts, m.status
FROM matches m WHERE m.product_id = %(product)s AND m.video_id = %(video)s AND m.job_id IN (%(job)s, (
    SELECT job_id FROM jobs WHERE industry = %(industry)s AND status = 'completed'
    ORDER BY finished_at DESC, job_id DESC LIMIT 1))
"""
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('pvm.label.' || %s || %s || %s, 0))"
#: What a label copies from its match: column -> where it stands over `_MATCH`.
_FACTS: Final = {
    "industry": "j.industry", "product_id": "m.product_id", "video_id": "m.video_id",
    "match_id": "m.match_id", "job_id": "m.job_id", "score": "m.score", "status": "m.status", "ts": "m.ts",
    "img_id": "m.best_img_id", "frame_id": "m.best_frame_id", "calibration": "m.calibration",
    "embed_model": "m.embed_model", "rules_key": "m.rules_key", "source": "p.src", "platform": "v.platform",
}  # fmt: skip
_MATCH: Final = """
FROM matches m JOIN jobs j USING (job_id) JOIN products p USING (product_id) JOIN videos v USING (video_id)
WHERE m.match_id = %s
"""
_NAMES: Final = """
LEFT JOIN products p ON p.product_id = l.product_id
LEFT JOIN LATERAL (
    SELECT given_name FROM job_videos g JOIN jobs USING (job_id)
    WHERE g.video_id = l.video_id AND industry = l.industry
    ORDER BY g.job_id = l.job_id DESC, g.job_id DESC, g.position, g.given_name LIMIT 1) g ON true
"""


@dataclass(frozen=True)
class Label:
    """A verdict, or its undoing.

    Attributes:
        seq: order of writing.
        match_id, job_id: where it was given; the job may be gone.
        verdict: ``none``: an undo took back the only verdict there was.
        who: for people, e.g. the name of the key.
        score, status, ts, img_id, frame_id, calibration, embed_model, rules_key: of the match at that time.
        source, platform: of the product and of the video.
        may_train: the terms of both allowed learning from it at that time.
        superseded_at: a newer row of the pair counts since then.
        product, title: as the source has them; video: its newest name in the industry; "" where gone.
    """

    label_id: uuid.UUID
    seq: int
    industry: str
    product_id: uuid.UUID
    video_id: uuid.UUID
    match_id: uuid.UUID
    job_id: str
    verdict: Literal["accept", "reject", "unsure", "none"]
    who: str
    score: float
    status: MatchStatus
    ts: float
    img_id: uuid.UUID | None
    frame_id: uuid.UUID | None
    calibration: str
    embed_model: str
    rules_key: str
    source: str
    platform: str
    may_train: bool
    created_at: datetime
    superseded_at: datetime | None
    product: str
    title: str
    video: str


_COLUMNS: Final = (
    f"{listed(columns(Label, without=('product', 'title', 'video')), 'l')}, "
    "coalesce(p.asin_or_itemid, '') AS product, coalesce(p.title, '') AS title, "
    "coalesce(g.given_name, '') AS video"
)


@dataclass(frozen=True)
class Tally:
    """The matches of a job and the verdicts on them.

    Attributes:
        accepted, review, rejected: matches by what the score says: precision is a measure of the score.
        right, wrong, unsure: verdicts on the accepted ones.
        judged: verdicts on all of them.
        missed: matches not accepted that are right by a verdict.
        open: accepted ones and those for review that nobody has judged.
        shown_accepted, shown_review, shown_rejected: matches by status, a verdict standing over the score.
    """

    job_id: str
    accepted: int = 0
    review: int = 0
    rejected: int = 0
    right: int = 0
    wrong: int = 0
    unsure: int = 0
    judged: int = 0
    missed: int = 0
    open: int = field(default=0, compare=False)
    shown_accepted: int = field(default=0, compare=False)
    shown_review: int = field(default=0, compare=False)
    shown_rejected: int = field(default=0, compare=False)

    @property
    def total(self) -> int:
        """All matches."""
        return self.accepted + self.review + self.rejected

    @property
    def known(self) -> int:
        """Accepted matches with a verdict of yes or no."""
        return self.right + self.wrong

    @property
    def precision(self) -> float | None:
        """Share of the known ones that are right; None where none is known."""
        return self.right / self.known if self.known else None

    @property
    def bound(self) -> float | None:
        """One-sided 95 % lower bound of the precision (Clopper & Pearson 1934), were the judged ones drawn
        at random; None where none is known."""
        return lower_bound(self.right, self.known) if self.known else None


@dataclass(frozen=True)
class Judged:
    """A label that says yes or no, with the media keys of the pictures it was given on; None: purged."""

    product_id: uuid.UUID
    video_id: uuid.UUID
    img_id: uuid.UUID | None
    frame_id: uuid.UUID | None
    verdict: Verdict
    source: str
    platform: str
    may_train: bool
    picture: str | None
    frame: str | None


class Labels(Repository):
    """Table `labels`.

    Args:
        policies: of the sources, applied when a label is added.
    """

    def __init__(self, database: Database, policies: Policies) -> None:
        super().__init__(database)
        self._policies = policies

    def give(self, match_id: uuid.UUID, verdict: Verdict, who: str) -> Label:
        """Adds a verdict on a match; the same verdict on the same version adds nothing. Where it changes the
        status of the match, ``match.verdict`` is written with it.

        Raises:
            InputError: ``match.unknown``.
        """
        who = _named(who)
        with self._db.transaction() as cursor:
            facts = _facts(cursor, match_id)
            counting = _counting(cursor, facts)
            given = {**facts, "verdict": verdict, "who": who}
            if counting is None or any(counting[name] != value for name, value in given.items()):
                undo_to = None if counting is None or counting["verdict"] == "none" else counting["label_id"]
                allowed = self._may_train(facts["source"], facts["platform"])
                _add(self._db, cursor, counting, {**given, "undo_to": undo_to, "may_train": allowed})
        found = self.of_match(match_id)
        assert found is not None
        return found

    def undo(self, match_id: uuid.UUID, who: str) -> Label | None:
        """Withdraws the label that counts for the pair of this match; the one before it counts again. Writes
        ``match.verdict`` as `give` does.

        Returns:
            the label that counts now, or None.

        Raises:
            InputError: ``match.unknown``; ``label.none``: there is no label.
        """
        who = _named(who)
        with self._db.transaction() as cursor:
            facts = _facts(cursor, match_id)
            counting = _counting(cursor, facts)
            if counting is None or counting["verdict"] == "none":
                raise InputError(
                    "label.none", str(match_id), "it has no verdict", "Judge it: accept or reject"
                )
            before = _row(cursor, "label_id = %s", [counting["undo_to"]]) if counting["undo_to"] else None
            back = before or {**counting, "verdict": "none", "undo_to": None}
            kept = {name: back[name] for name in (*_FACTS, "verdict", "undo_to", "may_train")}
            _add(self._db, cursor, counting, {**kept, "who": who})
        return self.of_match(match_id)

    def of_match(self, match_id: uuid.UUID) -> Label | None:
        """The label that counts for the pair of this match, or None."""
        query = (
            f"SELECT {_COLUMNS} FROM matches m JOIN jobs j USING (job_id) {JOIN} {_NAMES} "
            "WHERE m.match_id = %s AND l.label_id IS NOT NULL"
        )
        return self._db.one(Label, query, [match_id])

    def history(self, match_id: uuid.UUID, limit: int = 20) -> list[Label]:
        """All labels of the pair of this match, newest first."""
        query = (
            f"SELECT {_COLUMNS} FROM matches m JOIN jobs j USING (job_id) JOIN labels l ON "
            "l.industry = j.industry AND l.product_id = m.product_id AND l.video_id = m.video_id "
            f"{_NAMES} WHERE m.match_id = %s ORDER BY l.seq DESC LIMIT %s"
        )
        return self._db.all(Label, query, [match_id, limit])

    def list(
        self,
        limit: int,
        *,
        industry: str | None = None,
        job: str | None = None,
        verdict: Verdict | None = None,
        history: bool = False,
        after: int | None = None,
    ) -> list[Label]:
        """Labels, newest first.

        Args:
            industry: slug; job: given in this one.
            history: superseded ones as well, and undoings.
            after: `seq` of the last one of the page before.
        """
        parts, values = ["true"], {"limit": limit}
        for name, column, value in (
            ("industry", "industry", industry), ("job", "job_id", job), ("verdict", "verdict", verdict),
        ):  # fmt: skip
            if value is not None:
                parts.append(f"l.{column} = %({name})s")
                values[name] = value  # type: ignore[assignment]
        if not history:
            parts.append("l.superseded_at IS NULL AND l.verdict <> 'none'")
        if after is not None:
            parts.append("l.seq < %(after)s")
            values["after"] = after
        # The page is cut first, so that names are looked up for its rows alone.
        page = f"SELECT * FROM labels l WHERE {' AND '.join(parts)} ORDER BY l.seq DESC LIMIT %(limit)s"
        query = f"SELECT {_COLUMNS} FROM ({page}) l {_NAMES} ORDER BY l.seq DESC"
        return self._db.all(Label, query, values)

    def tallies(self, job_ids: Sequence[str]) -> dict[str, Tally]:
        """The verdicts on the matches of these jobs, counted by job."""
        query = f"""
            SELECT m.job_id, count(*) FILTER (WHERE m.status = 'accepted') AS accepted,
                   count(*) FILTER (WHERE m.status = 'review') AS review,
                   count(*) FILTER (WHERE m.status = 'rejected') AS rejected,
                   count(*) FILTER (WHERE m.status = 'accepted' AND l.verdict = 'accept') AS right,
                   count(*) FILTER (WHERE m.status = 'accepted' AND l.verdict = 'reject') AS wrong,
                   count(*) FILTER (WHERE m.status = 'accepted' AND l.verdict = 'unsure') AS unsure,
                   count(l.verdict) AS judged,
                   count(*) FILTER (WHERE m.status <> 'rejected' AND l.verdict IS NULL) AS open,
                   count(*) FILTER (WHERE m.status <> 'accepted' AND l.verdict = 'accept') AS missed,
                   count(*) FILTER (WHERE {EFFECTIVE} = 'accepted') AS shown_accepted,
                   count(*) FILTER (WHERE {EFFECTIVE} = 'review') AS shown_review,
                   count(*) FILTER (WHERE {EFFECTIVE} = 'rejected') AS shown_rejected
            FROM matches m JOIN jobs j USING (job_id) {JOIN}
            WHERE m.job_id = ANY(%s) GROUP BY m.job_id
        """
        found = {tally.job_id: tally for tally in self._db.all(Tally, query, [list(job_ids)])}
        return {job: found.get(job, Tally(job)) for job in job_ids}

    def judged(self, industry: str | None) -> Iterator[Judged]:
        """Labels that count and say yes or no, with their pictures, oldest first; streamed."""
        return self._db.stream(
            Judged,
            "SELECT l.product_id, l.video_id, l.img_id, l.frame_id, l.verdict, l.source, l.platform, "
            "l.may_train, i.local_path AS picture, f.local_path AS frame FROM labels l "
            "LEFT JOIN stored_images i USING (img_id) LEFT JOIN stored_frames f USING (frame_id) "
            "WHERE l.superseded_at IS NULL AND l.verdict IN ('accept', 'reject') "
            "AND (%(industry)s::text IS NULL OR l.industry = %(industry)s) ORDER BY l.seq",
            {"industry": industry},
        )

    def _may_train(self, source: str, platform: str) -> bool:
        return self._policies.may_train(source) and self._policies.of_platform(platform).may_train


def _named(who: str) -> str:
    return clean(" ".join(who.split()))[:_WHO_MAX] or "unknown"


def _facts(cursor: Cursor, match_id: uuid.UUID) -> dict[str, Any]:
    """The values a label of this match copies; locks its pair until the transaction ends."""
    query = f"SELECT {', '.join(_FACTS.values())} {_MATCH}"
    row = cursor.execute(sql.SQL(query), [match_id]).fetchone()
    if row is None:
        raise InputError("match.unknown", str(match_id), "no such match", "Take the id from the results")
    facts = dict(zip(_FACTS, row, strict=True))
    cursor.execute(_LOCK, [facts["industry"], str(facts["product_id"]), str(facts["video_id"])])
    return facts


def _counting(cursor: Cursor, facts: dict[str, Any]) -> dict[str, Any] | None:
    pair = [facts["industry"], facts["product_id"], facts["video_id"]]
    return _row(cursor, "industry = %s AND product_id = %s AND video_id = %s AND superseded_at IS NULL", pair)


def _row(cursor: Cursor, where: str, values: Sequence[Any]) -> dict[str, Any] | None:
    names = ("label_id", "verdict", "who", "undo_to", "may_train", *_FACTS)
    # The condition is one of this module's own.
    row = cursor.execute(sql.SQL(f"SELECT {listed(names)} FROM labels WHERE {where}"), values).fetchone()
    return None if row is None else dict(zip(names, row, strict=True))


def _add(database: Database, cursor: Cursor, counting: dict[str, Any] | None, values: dict[str, Any]) -> None:
    label_id = uuid.uuid4()
    if counting is not None:
        cursor.execute(
            "UPDATE labels SET superseded_at = clock_timestamp() WHERE label_id = %s", [counting["label_id"]]
        )
    database.write(cursor, insert("labels", {"label_id": label_id, **values}))
    before = counting["verdict"] if counting is not None else "none"
    emit(cursor, _changes(cursor, label_id, values, before))


def _changes(cursor: Cursor, label_id: uuid.UUID, values: dict[str, Any], before: str) -> list[Event]:
    """``match.verdict`` of each match whose status the new label changes; `before`: the verdict until now."""
    pair = {"product": values["product_id"], "video": values["video_id"], "job": values["job_id"],
            "industry": values["industry"]}  # fmt: skip
    events: list[Event] = []
    for match_id, job_id, product_id, video_id, score, ts, scored in cursor.execute(_SAME_PAIR, pair):
        previous = effective_status(scored, _deciding(before))
        status = effective_status(scored, _deciding(values["verdict"]))
        if status == previous:
            continue
        payload = {
            "match_id": str(match_id), "product_id": str(product_id), "video_id": str(video_id),
            "verdict": values["verdict"], "status": status, "previous_status": previous,
            "scored_status": scored, "score": score, "ts": ts,
        }  # fmt: skip
        # One label changes a match once, so its id tells one change from the next.
        events.append(Event(job_id, "match.verdict", str(label_id), payload))
    return events


def _deciding(verdict: str) -> Verdict | None:
    return None if verdict == "none" else cast("Verdict", verdict)
