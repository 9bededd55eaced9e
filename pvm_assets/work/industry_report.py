"""The report on an industry, of its stored matches: for `pvm report`, and for whatever asset wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pvm_core.errors import StoreError
from pvm_core.links import at_second, web
from pvm_core.proportions import lower_bound
from pvm_core.report.model import Missing, Precision, Report, ReportMatch
from pvm_core.scoring.calibration import Calibration
from pvm_jobs.source_policy import Policies, SourcePolicy
from pvm_resources.store.labels import Tally
from pvm_resources.store.match_record import MatchView
from pvm_resources.store.records import Industry, Job, JobCounts

#: Pixels; a card of the report is at most 400 wide, on screens of one and a half pixels a point.
_THUMB: Final = (560, 250)
#: Evidence in the report, pixels across and largest JPEG: legible at its full width, a tenth of a megabyte.
_EVIDENCE_WIDTH: Final = 1_200
_EVIDENCE_BYTES: Final = 130_000
#: In base 64 a picture is a third larger.
_BASE64: Final = 4 / 3


@dataclass(frozen=True)
class Drawn:
    """The pictures of one match as the report shows them, JPEG; `missing` says why one is None."""

    thumbnail: bytes | None
    evidence: bytes | None
    missing: Missing = ""


def report_of(
    industry: Industry,
    job: Job,
    counts: JobCounts,
    tally: Tally,
    calibration: Calibration,
    matches: Sequence[ReportMatch],
    *,
    accept: float,
    made_at: datetime,
    left_out: int = 0,
) -> Report:
    """The report as data.

    Args:
        matches: best first.
        tally: of the job's verdicts; where nobody judged, the measurement of the calibration stands for it.
    """
    return Report(
        industry=industry.name, job_id=job.job_id, finished_at=job.finished_at, made_at=made_at,
        products=counts.products, videos=counts.videos, matches=tuple(matches), left_out=left_out,
        precision=precision_of(tally, calibration), accept=accept, calibration=calibration.name,
        embed_model=job.embed_model or "",
    )  # fmt: skip


def precision_of(tally: Tally, calibration: Calibration) -> Precision | None:
    """How often an accepted match is right: by people's verdicts, else as the calibration was measured."""
    if tally.known:
        return Precision(tally.right, tally.known, lower_bound(tally.right, tally.known), "labels")
    measured = calibration.provenance.get("measured")
    if not measured or not measured["accepted"]:
        return None
    known = int(measured["accepted"])
    right = known - int(measured["wrong"])
    return Precision(right, known, lower_bound(right, known), "measured")


def report_match(row: MatchView, policies: Policies, drawn: Drawn, reason: str) -> ReportMatch:
    """One match; a report is passed on, so that addresses of this machine are left out."""
    return ReportMatch(
        match_id=str(row.match_id), product=row.product, title=row.title, brand=row.brand, price=row.price,
        currency=row.currency, product_url=web(row.product_url), source=row.source,
        video=row.video_title or row.video, video_url=at_second(row.video_url, row.ts),
        platform=row.platform, channel=row.channel, published_at=row.published_at, ts=row.ts,
        score=row.score, status=row.effective_status, scored_status=row.status, verdict=row.label,
        reason=reason, thumbnail=drawn.thumbnail, evidence=drawn.evidence, missing=drawn.missing,
        attributions=tuple(dict.fromkeys(t.attribution for t in _terms(row, policies) if t.attribution)),
        mirrored=row.mirrored,
    )  # fmt: skip


def report_matches(
    rows: Iterable[MatchView],
    page: Callable[[MatchView], bytes],
    policies: Policies,
    reason: Callable[[MatchView], str],
    *,
    max_bytes: int,
) -> list[ReportMatch]:
    """The matches with their pictures, as long as these stay below `max_bytes` of the file: evidence of the
    best first, then thumbnails alone, then none.

    Args:
        page: the evidence picture of a match that has one, JPEG; raises StoreError ``media.missing``.
        reason: why its score is what it is, one sentence.
    """
    room = max_bytes
    found: list[ReportMatch] = []
    for row in rows:
        drawn = _drawn(row, page, policies, room)
        room -= round(_BASE64 * sum(len(one) for one in (drawn.thumbnail, drawn.evidence) if one))
        found.append(report_match(row, policies, drawn, reason(row)))
    return found


def _terms(row: MatchView, policies: Policies) -> tuple[SourcePolicy, SourcePolicy]:
    return policies[row.source], policies.of_platform(row.platform)


def _drawn(row: MatchView, page: Callable[[MatchView], bytes], policies: Policies, room: int) -> Drawn:
    from pvm_core.evidence.contact_sheet import encode_within
    from pvm_core.evidence.thumbnail import thumbnail
    from pvm_core.images import decode_stored, normalise

    if row.media_purged_at is not None:
        return Drawn(None, None, "purged")
    # A file that was sent cannot be deleted.
    if any(one.restricted for one in _terms(row, policies)):
        return Drawn(None, None, "restricted")
    if row.evidence_path is None:
        return Drawn(None, None, "none")
    try:
        picture = page(row)
    except StoreError as error:
        if error.code != "media.missing":
            raise
        return Drawn(None, None, "none")
    small = thumbnail([picture], *_THUMB, quality=74)
    if len(small) * _BASE64 > room:
        return Drawn(None, None, "left_out")
    large = encode_within(normalise(decode_stored(picture), _EVIDENCE_WIDTH), _EVIDENCE_BYTES)
    if (len(small) + len(large)) * _BASE64 > room:
        return Drawn(small, None, "left_out")
    return Drawn(small, large)
