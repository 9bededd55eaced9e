"""Checks of matching and evidence: recall, scores, thresholds, proofs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Final

from pvm_assets.checks import schemas
from pvm_assets.checks.collection import of_rows
from pvm_assets.checks.factory import CheckContext, Verdict, job_check
from pvm_core.errors import PvmError
from pvm_core.images import decode_stored
from pvm_resources.models.calibrations import calibration_of
from pvm_resources.store.records import CandidatePair

#: Evidence pictures opened; of the others the file must be there.
_SAMPLE: Final = 25


@job_check("candidate_pairs", blocking=True)
def candidates_valid(inquiry: CheckContext) -> Verdict:
    """Every frame has candidates, with ranks from 1 and cosines in [-1, 1]."""
    frames: set[uuid.UUID] = set()
    total = inquiry.services.store.jobs.counts(inquiry.job_id).frames
    verdict = of_rows(schemas.validate(schemas.candidates(), _seen(inquiry, frames)), "candidates")
    summary = f"{verdict.summary}; {len(frames)} of {total} frames have candidates"
    return Verdict(verdict.passed and len(frames) == total, summary, metadata=verdict.metadata)


def _seen(inquiry: CheckContext, frames: set[uuid.UUID]) -> Iterator[CandidatePair]:
    for row in inquiry.services.store.matching.candidates(inquiry.job_id):
        frames.add(row.frame_id)
        yield row


@job_check("candidate_pairs", blocking=False)
def retrieval_recall(inquiry: CheckContext) -> Verdict:
    """The search index finds what exact search finds (rule min_recall_at_k); a job's own search is exact."""
    recall, wanted = inquiry.state.metadata.get("recall_at_k"), inquiry.rules.min_recall_at_k
    if recall is None:
        return Verdict(True, "there was nothing to look for", "WARN")
    k = inquiry.state.metadata.get("recall_k")
    return Verdict(
        recall >= wanted,
        f"recall@{k} of the index {recall:.3f}; wanted {wanted:.3f}",
        "WARN",
        {"recall": recall, "threshold": wanted},
    )


@job_check("matches", blocking=True)
def scores_valid(inquiry: CheckContext) -> Verdict:
    """Scores and terms lie in [0, 1], each match has a status, a reason and a second."""
    rows = inquiry.services.store.matching.matches(inquiry.job_id)
    given = (SimpleNamespace(**m.row(), reason=m.reason.text()) for m in rows)
    found = schemas.validate(schemas.matches(), given, "match_id")
    verdict = of_rows(found, "matches")
    # A job may honestly have nothing to score: pictures without keypoints under an uncalibrated model.
    return Verdict(found.failures == 0, verdict.summary, metadata=verdict.metadata)


@job_check("matches", blocking=True)
def accepted_over_threshold(inquiry: CheckContext) -> Verdict:
    """A match is accepted if and only if its score reaches ACCEPT, and only under a calibrated model."""
    rows = inquiry.services.store.matching.matches(inquiry.job_id)
    wrong = [m for m in rows if (m.status == "accepted") != (m.score >= m.accept)]
    accepted = [m for m in rows if m.status == "accepted"]
    models, name = inquiry.services.settings.models, inquiry.job.embed_model or ""
    calibrated = calibration_of(models, name).calibrated
    uncalibrated = [] if calibrated else accepted
    summary = (
        f"{len(accepted)} accepted, {len(wrong)} against the threshold, {len(uncalibrated)} uncalibrated"
    )
    names = [str(m.match_id) for m in (*wrong, *uncalibrated)][:20]
    return Verdict(not wrong and not uncalibrated, summary, metadata={"wrong": names})


@job_check("evidence", blocking=True)
def evidence_readable(inquiry: CheckContext) -> Verdict:
    """No accepted match is without its picture, and the pictures can be read; a purged one needs none."""
    media = inquiry.services.media
    listed = inquiry.services.store.matching.matches(inquiry.job_id, statuses=("accepted", "review"))
    rows = [match for match in listed if match.media_purged_at is None]
    bad: list[str] = []
    for n, match in enumerate(rows):
        try:
            if match.evidence_path is None or not media.exists(match.evidence_path):
                bad.append(f"{match.match_id}: no picture")
            elif n < _SAMPLE:
                decode_stored(media.get(match.evidence_path))
        except PvmError as error:
            bad.append(f"{match.match_id}: {error.reason}")
    summary = f"{len(rows) - len(bad)} of {len(rows)} accepted or reviewable matches have a readable picture"
    purged = len(listed) - len(rows)
    if purged:
        summary += f"; {purged} had to give theirs up"
    return Verdict(not bad, summary, metadata={"without": bad[:20], "purged": purged})


CHECKS = (candidates_valid, retrieval_recall, scores_valid, accepted_over_threshold, evidence_readable)
