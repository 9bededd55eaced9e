"""Matches as the review page reads them: filtered, sorted, by keyset, with its label."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from pvm_core.scoring.verdict import Verdict, effective_status
from pvm_resources.store.base import Repository, clean
from pvm_resources.store.labels import EFFECTIVE
from pvm_resources.store.match_record import (
    LABELLED,
    MatchView,
    one_match,
    page,
    reader,
    unknown_match,
    where,
)
from pvm_resources.store.records import MatchStatus

Sort = Literal["best", "worst", "doubt", "video"]
SORTS: Final[tuple[Sort, ...]] = get_args(Sort)
#: Verdicts to filter by; ``open``: none yet, of a match that is accepted or for review. Nobody is asked about
#: the rejected ones, which are most, unless they are filtered for.
Said = Literal["open", "accept", "reject", "unsure"]
SAID: Final[tuple[Said, ...]] = get_args(Said)
#: Matches counted at most; beyond them a page says "more than".
COUNTED: Final = 10_000
#: (expression, descending) by sort; the last one tells any two matches apart. The index by score of a job
#: gives the first two their order.
_ORDER: Final[dict[Sort, tuple[tuple[str, bool], ...]]] = {
    "best": (("m.score", True), ("m.match_id", False)),
    "worst": (("m.score", False), ("m.match_id", True)),
    "doubt": (("abs(m.score - m.accept)", False), ("m.match_id", False)),
    "video": (("m.video_id", False), ("m.ts", False), ("m.match_id", False)),
}
_SAID: Final = """(l.verdict = ANY(%(said)s) OR (
    'open' = ANY(%(said)s) AND l.verdict IS NULL AND m.status = ANY(%(asked)s)))
"""
_TEXT: Final = """(
    EXISTS (SELECT 1 FROM products p WHERE p.product_id = m.product_id
            AND (p.title ILIKE %(text)s OR p.asin_or_itemid ILIKE %(text)s OR p.brand ILIKE %(text)s))
    OR EXISTS (SELECT 1 FROM videos w WHERE w.video_id = m.video_id AND w.title ILIKE %(text)s)
    OR EXISTS (SELECT 1 FROM job_videos v WHERE v.job_id = m.job_id AND v.video_id = m.video_id
               AND v.given_name ILIKE %(text)s))
"""


@dataclass(frozen=True)
class Wanted:
    """Which matches of a job are wanted, and in what order.

    Attributes:
        sort: best first, worst first, ``doubt``: nearest to the threshold first, ``video``: by video and
            second.
        statuses, said: any of these; none: all. A status is the effective one: a verdict over the score.
        min_score, max_score: [0, 1], both included.
        text: part of a product's id, title or brand, or of a video's name or title; "" = any.
    """

    job: str
    sort: Sort = "best"
    statuses: Sequence[MatchStatus] = ()
    said: Sequence[Said] = ()
    min_score: float = 0.0
    max_score: float = 1.0
    product: uuid.UUID | None = None
    video: uuid.UUID | None = None
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Card(MatchView):
    """A match with everything a page shows of it."""

    def place(self, sort: Sort) -> list[Any]:
        """Where it stands in that order; JSON-able."""
        first: dict[Sort, list[Any]] = {
            "best": [self.score], "worst": [self.score], "doubt": [abs(self.score - self.accept)],
            "video": [str(self.video_id), self.ts],
        }  # fmt: skip
        return [*first[sort], str(self.match_id)]


@dataclass(frozen=True)
class Pictures:
    """Media keys of a match's pictures, and the industry whose rules say how they are shown."""

    industry: str
    source: str
    platform: str
    evidence: str | None
    product: str | None
    frame: str | None
    status: MatchStatus
    label: Verdict | None

    @property
    def overruled(self) -> bool:
        """A person decided otherwise than the score, which the stored evidence shows."""
        return effective_status(self.status, self.label) != self.status


class ReviewQueries(Repository):
    """Reads of the review page; writes nothing."""

    def cards(
        self, wanted: Wanted, limit: int, after: Sequence[Any] | None = None, *, backwards: bool = False
    ) -> list[Card]:
        """Matches in the order wanted, or in its reverse.

        Args:
            after: `Card.place` of the last one seen.
        """
        order = [(name, down is not backwards) for name, down in _ORDER[wanted.sort]]
        clause, values = _where(wanted)
        if after is not None:
            clause += f" AND {_beyond(order, list(after), values)}"
        by = ", ".join(f"{name} DESC" if down else name for name, down in order)
        return self._db.all(reader(Card), page(clause, by), {**values, "limit": limit})

    def count(self, wanted: Wanted) -> int:
        """How many there are, counted up to one more than `COUNTED`."""
        clause, values = _where(wanted)
        query = f"SELECT 1 FROM matches m {LABELLED} {clause} LIMIT {COUNTED + 1}"
        return int(self._db.value(f"SELECT count(*) FROM ({query}) t", values))

    def card(self, match_id: uuid.UUID) -> Card:
        """One match.

        Raises:
            InputError: ``match.unknown``.
        """
        found = self._db.one(reader(Card), *one_match(match_id))
        if found is None:
            raise unknown_match(match_id)
        return found

    def pictures(self, match_id: uuid.UUID) -> Pictures:
        """Where the pictures of a match are.

        Raises:
            InputError: ``match.unknown``.
        """
        found = self._db.one(
            Pictures,
            "SELECT j.industry, p.src AS source, w.platform, m.evidence_path AS evidence, "
            "i.local_path AS product, f.local_path AS frame, m.status, l.verdict AS label "
            f"FROM matches m {LABELLED} JOIN products p ON p.product_id = m.product_id "
            "JOIN videos w ON w.video_id = m.video_id LEFT JOIN stored_images i ON i.img_id = m.best_img_id "
            "LEFT JOIN stored_frames f ON f.frame_id = m.best_frame_id WHERE m.match_id = %s",
            [match_id],
        )
        if found is None:
            raise unknown_match(match_id)
        return found


def _where(wanted: Wanted) -> tuple[str, dict[str, Any]]:
    text = f"%{_literal(clean(wanted.text))}%"
    return where(
        (
            (True, "m.job_id = %(job)s", {"job": wanted.job}),
            (bool(wanted.statuses), f"{EFFECTIVE} = ANY(%(statuses)s)", {"statuses": list(wanted.statuses)}),
            (bool(wanted.said), _SAID, {"said": list(wanted.said), "asked": _asked(wanted)}),
            (wanted.min_score > 0, "m.score >= %(min)s", {"min": wanted.min_score}),
            (wanted.max_score < 1, "m.score <= %(max)s", {"max": wanted.max_score}),
            (wanted.product is not None, "m.product_id = %(product)s", {"product": wanted.product}),
            (wanted.video is not None, "m.video_id = %(video)s", {"video": wanted.video}),
            (bool(wanted.text), _TEXT, {"text": text}),
        )
    )


def _asked(wanted: Wanted) -> list[MatchStatus]:
    """Statuses of which a match without a verdict is open."""
    return list(wanted.statuses) if "rejected" in wanted.statuses else ["accepted", "review"]


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _beyond(order: Sequence[tuple[str, bool]], place: Sequence[Any], values: dict[str, Any]) -> str:
    """What comes after `place`; its first term lets an index start there."""
    name, down = order[0]
    slot = f"at{len(values)}"
    values[slot] = place[0]
    kind = {"m.match_id": "uuid", "m.video_id": "uuid"}.get(name, "float8")
    sign, at = "<" if down else ">", f"%({slot})s::{kind}"
    if len(order) == 1:
        return f"{name} {sign} {at}"
    rest = _beyond(order[1:], place[1:], values)
    return f"{name} {sign}= {at} AND ({name} {sign} {at} OR ({rest}))"
