"""A match as stored, its view with names for people, and the SQL that reads both."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, TypeVar

from pvm_core.errors import InputError
from pvm_core.links import at_second, file_at_second
from pvm_core.scoring.decision import MatchDecision, Status
from pvm_core.scoring.pair import UNSTORED, PairScore
from pvm_core.scoring.reason import Reason
from pvm_core.scoring.verdict import Verdict, effective_status
from pvm_resources.store.labels import JOIN

#: What of the best pair the table holds under other names.
_RENAMED: Final = {"frame_id": "best_frame_id", "img_id": "best_img_id"}
#: Columns of `matches` that a decision writes, and their types.
DECIDED: Final = {
    "match_id": "uuid", "product_id": "uuid", "video_id": "uuid", "best_img_id": "uuid",
    "best_frame_id": "uuid", "ts": "float8", "shot": "int4", "score": "float8", "accept": "float8",
    "status": "text", "reason_code": "text", "reason_values": "jsonb", "sim_deep": "float8",
    "sim_kp": "float8", "sim_edge": "float8", "score_pair": "float8", "consistency": "int4",
    "coverage": "int4", "mirrored": "bool", "listing_group": "uuid", "calibration": "text",
    "embed_model": "text", "rules_key": "text",
}  # fmt: skip
STORED: Final = ", ".join(f"m.{name}" for name in (*DECIDED, "evidence_path", "media_purged_at"))
#: The first name a video has in the job; every name, a row each.
FIRST_NAME: Final = """LEFT JOIN LATERAL (
    SELECT given_name, source_ref FROM job_videos v WHERE v.job_id = m.job_id AND v.video_id = m.video_id
    ORDER BY v.position, v.given_name LIMIT 1) v ON true"""
#: The job j of a match m, and its label l.
LABELLED: Final = f"JOIN jobs j USING (job_id) {JOIN}"
EVERY_NAME: Final = "JOIN job_videos v ON v.job_id = m.job_id AND v.video_id = m.video_id"
_VIEW: Final = """
SELECT {stored}, m.job_id, m.created_at, j.industry, p.asin_or_itemid AS product, p.src AS source, p.title,
       p.brand, p.price, p.currency, p.url AS product_url, coalesce(v.given_name, '') AS video, w.platform,
       w.url AS video_url, w.title AS video_title, w.channel, w.published_at, w.duration_s,
       CASE WHEN w.platform = 'file' THEN coalesce(v.source_ref, '') ELSE '' END AS video_path,
       l.verdict AS label, l.who AS label_who, l.created_at AS label_at, r.product_id AS rival_id,
       r.asin_or_itemid AS rival_product, r.title AS rival_title, r.src AS rival_source,
       ri.img_id AS rival_img, ri.local_path AS rival_path,
       coalesce(lg.asin_or_itemid, '') AS listed_as, att.score AS attention{more}
FROM {source} m JOIN jobs j USING (job_id) JOIN products p USING (product_id) JOIN videos w USING (video_id)
{names} {joins} {labels} {rival} {attention} {where} ORDER BY {order}
"""
#: The product that contests a match m and the picture it does so by, else the product's first one. A reason's
#: values are data of any release: what is no id is cast to none.
_ID: Final = """CASE WHEN m.reason_values ->> '{0}' ~ '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$'
    THEN (m.reason_values ->> '{0}')::uuid END"""
_RIVAL: Final = f"""
LEFT JOIN products r ON m.reason_code = 'rival' AND r.product_id = {_ID.format("rival")}
LEFT JOIN products lg ON lg.product_id = m.listing_group
LEFT JOIN LATERAL (
    SELECT s.img_id, s.local_path FROM stored_images s WHERE s.product_id = r.product_id
    ORDER BY s.img_id IS NOT DISTINCT FROM {_ID.format("rival_image")} DESC, s.created_at, s.img_id LIMIT 1
) ri ON true"""
#: The attention of the presenter of a match m's video, as the analysis of its job has it.
ATTENTION: Final = """LEFT JOIN LATERAL (
    SELECT a.score FROM attention_jobs aj JOIN attention_videos a USING (attention_key)
    WHERE aj.job_id = m.job_id AND a.video_id = m.video_id) att ON true"""
#: What an evidence picture shows: `EvidenceItem`'s columns beyond `MatchView`, and where they come from.
EVIDENCE: Final = (
    ", i.local_path AS image_path, f.local_path AS frame_path, e.raw, k.mask_path AS product_mask"
)
PICTURES: Final = """
LEFT JOIN stored_images i ON i.img_id = m.best_img_id
LEFT JOIN stored_frames f ON f.frame_id = m.best_frame_id
LEFT JOIN pair_evidence e ON e.frame_id = m.best_frame_id AND e.img_id = m.best_img_id
     AND e.verify_key = j.keys ->> 'verify'
LEFT JOIN masks k ON k.item_id = m.best_img_id AND k.kind = 'product' AND k.method_key = j.keys ->> 'masks'
"""
T = TypeVar("T", bound="MatchRecord")


@dataclass(frozen=True)
class MatchRecord(MatchDecision):
    """A decision as stored. The store refuses a row whose status and score disagree.

    Attributes:
        best: of the pair shown; its picture ids are None once that picture was purged.
        accept: the threshold it was decided under; rules_key: of the rules, which the job stores whole.
        calibration, embed_model: what turned measurements into terms, and what retrieved the pair.
        evidence_path: media key of the evidence picture, None while there is none.
        media_purged_at: when the source's terms ended the keeping of its pictures.
    """

    match_id: uuid.UUID
    accept: float
    calibration: str
    embed_model: str
    rules_key: str
    evidence_path: str | None = None
    media_purged_at: datetime | None = None

    def row(self) -> dict[str, Any]:
        """Column -> value: all fields, with those of `best` and `reason` among them."""
        pair = {_RENAMED.get(n, n): v for n, v in vars(self.best).items() if n not in UNSTORED}
        code, values = self.reason.to_row()
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("best", "reason")}
        return {**pair, **own, "mirrored": self.mirrored, "reason_code": code, "reason_values": values}


@dataclass(frozen=True)
class Rival:
    """The product that contests a match: it fits the same place of the frame.

    Attributes:
        product: its id as its source gave it; score: of its pair at that place, [0, 1].
        img_id, path: its picture and that picture's media key; None where none is kept.
    """

    product_id: uuid.UUID
    product: str
    title: str
    source: str
    score: float
    img_id: uuid.UUID | None
    path: str | None


@dataclass(frozen=True, kw_only=True)
class MatchView(MatchRecord):
    """A match with names of its product and video for people. Its `status` is what the score says; what is
    shown and counted is `effective_status`.

    Attributes:
        product: the product's id as its source gave it; video: the video's name in the job.
        price, currency: a plain decimal and an ISO 4217 code, "" where unknown.
        channel: who published the video, "" where unknown; video_path: its file, for a folder's clip.
        label: the verdict of a person on product and video; label_who, label_at: who and when; None: none.
        listed_as: the first listing of the product's group, its id as its source gave it; "" where it is
            listed once.
        attention: of the video's presenter, [0, 1]; None: unknown, or not analysed (yet).
        rival: the product that contests it; None where none does, or it is gone.
    """

    job_id: str
    created_at: datetime
    industry: str
    product: str
    source: str
    title: str
    brand: str
    price: str
    currency: str
    product_url: str
    video: str
    platform: str
    video_url: str
    video_title: str
    channel: str
    published_at: datetime | None
    duration_s: float | None
    video_path: str
    label: Verdict | None
    label_who: str | None
    label_at: datetime | None
    rival: Rival | None
    listed_as: str
    attention: float | None = None

    @property
    def effective_status(self) -> Status:
        """The status with a person's verdict standing over the score."""
        return effective_status(self.status, self.label)

    def video_at(self) -> str:
        """The video's address at the match's second, that of the file for a folder's clip; "" where it has
        none."""
        return at_second(self.video_url, self.ts) or file_at_second(self.video_path, self.ts)


@dataclass(frozen=True, kw_only=True)
class EvidenceItem(MatchView):
    """A match with what its evidence picture shows.

    Attributes:
        image_path, frame_path: media keys of the stored pictures; None once purged.
        raw: the pair's raw measurements under the job's ``verify`` key, None where not stored.
        product_mask: media key of the product picture's mask, None without.
    """

    image_path: str | None
    frame_path: str | None
    raw: dict[str, Any] | None
    product_mask: str | None


def reader(make: type[T]) -> Callable[..., T]:
    """What makes a `make` of the columns of a row (`STORED`, and those of its own fields)."""

    def read(
        *,
        best_frame_id: uuid.UUID | None,
        best_img_id: uuid.UUID | None,
        reason_code: str,
        reason_values: Mapping[str, Any],
        **columns: Any,
    ) -> T:
        pair = {f.name: columns.pop(f.name) for f in fields(PairScore) if f.name in columns}
        best = PairScore(frame_id=best_frame_id, img_id=best_img_id, **pair)
        if "rival_id" in columns:
            columns["rival"] = _rival(reason_values, *(columns.pop(name) for name in _RIVAL_COLUMNS))
        return make(best=best, reason=Reason.from_row(reason_code, reason_values), **columns)

    return read


_RIVAL_COLUMNS: Final = (
    "rival_id", "rival_product", "rival_title", "rival_source", "rival_img", "rival_path",
)  # fmt: skip


def _rival(
    values: Mapping[str, Any],
    product_id: uuid.UUID | None,
    product: str,
    title: str,
    source: str,
    img_id: uuid.UUID | None,
    path: str | None,
) -> Rival | None:
    score = values.get("rival_score")
    if product_id is None or score is None:
        return None
    return Rival(product_id, product, title, source, float(score), img_id, path)


def view(
    order: str, *, where: str = "", source: str = "matches", names: str = FIRST_NAME, more: str = "",
    joins: str = "",
) -> str:  # fmt: skip
    """A query of `MatchView` rows.

    Args:
        source: a table of matches; in the other arguments it is `m`, its job `j`, its product `p`, its video
            `w`, the video's name `v`.
        more, joins: further columns and where they come from.
    """
    return _VIEW.format(
        stored=STORED, more=more, source=source, names=names, joins=joins, labels=JOIN,
        rival=_RIVAL, attention=ATTENTION, where=where, order=order,
    )  # fmt: skip


def page(where: str, order: str, joins: str = LABELLED) -> str:
    """A query of the first `limit` rows; cut first, so that names and titles are looked up for them alone.

    Args:
        joins: what `where` speaks of beside the match m; default its job j and its label l.
    """
    cut = f"SELECT m.* FROM matches m {joins} {where} ORDER BY {order} LIMIT %(limit)s"
    return f"WITH page AS MATERIALIZED ({cut}) {view(order, source='page')}"


def one_match(match_id: uuid.UUID, *, more: str = "", joins: str = "") -> tuple[str, dict[str, Any]]:
    """Query and values of one `MatchView`, with what `view` takes beside it."""
    query = view("m.match_id", where="WHERE m.match_id = %(match)s", more=more, joins=joins)
    return query, {"match": match_id}


def unknown_match(match_id: uuid.UUID) -> InputError:
    """The error ``match.unknown``."""
    return InputError("match.unknown", str(match_id), "no such match", "Take the id from the results")


def where(conditions: Iterable[tuple[bool, str, Mapping[str, Any]]]) -> tuple[str, dict[str, Any]]:
    """The WHERE clause of those (wanted, condition, values) that are wanted, and its values.

    A plan for all conditions at once, each switched by a parameter, would use no index.
    """
    wanted = [(condition, values) for given, condition, values in conditions if given]
    text = " AND ".join(condition for condition, _ in wanted)
    return (f"WHERE {text}" if text else ""), {k: v for _, values in wanted for k, v in values.items()}
