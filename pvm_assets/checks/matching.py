"""Checks of matching and evidence: recall, scores, thresholds, evidence pictures."""

from __future__ import annotations

from typing import Final

from pvm_assets.checks.collection import of_rows
from pvm_assets.checks.factory import CheckContext, CheckOutcome, job_check
from pvm_core.errors import PvmError
from pvm_core.images import decode_stored
from pvm_core.picture_content import NOT_MATCHED
from pvm_resources.models.calibrations import calibration_for

#: Evidence pictures opened; of the others the file must be there.
_SAMPLE: Final = 25


@job_check("candidate_pairs", blocking=True)
def candidates_valid(context: CheckContext) -> CheckOutcome:
    """Every frame has candidates, with ranks from 1 and cosines in [-1, 1]."""
    found = context.store.row_checks.count(context.job_id, "candidates")
    total = context.store.jobs.counts(context.job_id).frames
    verdict = of_rows(found, "candidates")
    summary = f"{verdict.summary}; {found.parents} of {total} frames have candidates"
    metadata = {**verdict.metadata, "frames": total, "frames_with_candidates": found.parents}
    return CheckOutcome(verdict.passed and found.parents == total, summary, metadata=metadata)


@job_check("candidate_pairs", blocking=False)
def retrieval_recall(context: CheckContext) -> CheckOutcome:
    """The search index finds what exact search finds (rule min_recall_at_k); a job's own search is exact."""
    recall, wanted = context.state.metadata.get("recall_at_k"), context.rules.min_recall_at_k
    if recall is None:
        return CheckOutcome(True, "there was nothing to look for", "WARN", {"threshold": wanted})
    k = context.state.metadata.get("recall_k")
    return CheckOutcome(
        recall >= wanted,
        f"recall@{k} of the index {recall:.3f}; wanted {wanted:.3f}",
        "WARN",
        {"recall": recall, "threshold": wanted},
    )


@job_check("matches", blocking=False)
def pictures_show_products(context: CheckContext) -> CheckOutcome:
    """Every product has a picture of itself: charts, placeholders and shared pictures are not matched."""
    catalogue, job = context.store.catalogue, context.job_id
    roles = {row.img_id: row.role for row in catalogue.reviewed(job)}
    shown = {image.product_id for image in catalogue.images(job) if roles.get(image.img_id) == "view"}
    without = [p.asin_or_itemid for p in catalogue.products(job) if p.product_id not in shown]
    left_out: dict[str, int] = {role: sum(found == role for found in roles.values()) for role in NOT_MATCHED}
    said = ", ".join(f"{count} {role}" for role, count in left_out.items() if count) or "none"
    return CheckOutcome(
        not without,
        f"pictures not matched: {said}; products without any other: {len(without)}",
        "WARN",
        {
            **left_out,
            "products": without[:20],
            "listing_groups": len(set(catalogue.listing_groups(job).values())),
        },
    )


@job_check("matches", blocking=True)
def scores_valid(context: CheckContext) -> CheckOutcome:
    """Scores and terms lie in [0, 1], each match has a status, a reason and a second."""
    found = context.store.row_checks.count(context.job_id, "matches")
    verdict = of_rows(found, "matches")
    # A job may honestly have nothing to score: pictures without keypoints under an uncalibrated model.
    return CheckOutcome(found.failures == 0, verdict.summary, metadata=verdict.metadata)


@job_check("matches", blocking=True)
def accepted_over_threshold(context: CheckContext) -> CheckOutcome:
    """A match is accepted if and only if its score reaches ACCEPT, and only under a calibrated model."""
    rows = context.store.matching.to_check(context.job_id)
    wrong = [m for m in rows if (m.status == "accepted") != (m.score >= m.accept)]
    accepted = [m for m in rows if m.status == "accepted"]
    models, name = context.services.settings.models, context.job.embed_model or ""
    counts = calibration_for(context.store.calibrations, models, context.job.industry, name)
    uncalibrated = [] if counts.calibrated else accepted
    summary = (
        f"{len(accepted)} accepted, {len(wrong)} against the threshold, {len(uncalibrated)} uncalibrated"
    )
    names = [str(m.match_id) for m in (*wrong, *uncalibrated)][:20]
    figures = {"accepted": len(accepted), "against": len(wrong), "uncalibrated": len(uncalibrated)}
    return CheckOutcome(not wrong and not uncalibrated, summary, metadata={**figures, "wrong": names})


@job_check("evidence", blocking=True)
def evidence_readable(context: CheckContext) -> CheckOutcome:
    """No accepted match is without its picture, and the pictures can be read; a purged one needs none."""
    media = context.services.media
    listed = context.store.matching.matches(context.job_id, statuses=("accepted", "review"))
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
        summary += f"; {purged} had theirs deleted with their source's pictures"
    figures = {"matches": len(rows), "readable": len(rows) - len(bad), "purged": purged}
    return CheckOutcome(not bad, summary, metadata={**figures, "without": bad[:20]})


CHECKS = (
    candidates_valid,
    retrieval_recall,
    pictures_show_products,
    scores_valid,
    accepted_over_threshold,
    evidence_readable,
)
