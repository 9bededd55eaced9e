"""Checks of collection: rows, decodable pictures and videos, enough frames."""

from __future__ import annotations

from collections import Counter

from pvm_assets.checks.factory import CheckContext, CheckOutcome, job_check
from pvm_assets.event_log_redactor import EventLogRedactor
from pvm_jobs.source_kinds import SourceKind
from pvm_resources.store.row_checks import RowCounts


def of_rows(found: RowCounts, what: str) -> CheckOutcome:
    """The verdict on counted rows; no rows at all is a failure."""
    passed = found.rows > 0 and found.failures == 0
    summary = f"{found.rows} {what}, {found.failures} failures"
    return CheckOutcome(
        passed,
        summary,
        metadata={"rows": found.rows, "failing": found.failures, "failures": list(found.examples)},
    )


@job_check("products", blocking=True)
def products_valid(context: CheckContext) -> CheckOutcome:
    """Every product has a source, a namespace and an id of its own."""
    return of_rows(context.store.row_checks.count(context.job_id, "products"), "products")


@job_check("products", blocking=False)
def product_sources_answered(context: CheckContext) -> CheckOutcome:
    """Every product source of the job answered in full."""
    return _answered(context, "products")


@job_check("videos", blocking=False)
def video_sources_answered(context: CheckContext) -> CheckOutcome:
    """Every video source of the job answered in full."""
    return _answered(context, "videos")


def _answered(context: CheckContext, kind: SourceKind) -> CheckOutcome:
    states = [s for s in context.store.source_runs.states(context.job_id) if s.kind == kind]
    lacking = [s for s in states if s.state != "ok"]
    summary = f"{len(states) - len(lacking)} of {len(states)} sources answered in full"
    if lacking:
        summary += "; " + "; ".join(f"{s.source} {s.state.replace('_', ' ')}: {s.reason}" for s in lacking)
    found = {
        s.source: {"state": s.state, "reason": s.reason, "remedy": s.remedy, "found": s.found} for s in states
    }
    figures = {"asked": len(states), "answered": len(states) - len(lacking)}
    return CheckOutcome(not lacking, summary, "WARN", {**figures, "sources": found})


@job_check("product_images", blocking=True)
def pictures_decodable(context: CheckContext) -> CheckOutcome:
    """Enough of the pictures the catalogue names could be read (rule min_decodable_ratio)."""
    given = context.store.galleries.count(context.job_id)
    problems = context.store.state.problems(context.job_id, "product_images")
    redactor = EventLogRedactor(context.services, context.job_id)
    bad = [redactor.label(p.item) for p in problems]
    return _enough(context, given - len(problems), given, "pictures", bad)


@job_check("product_images", blocking=True)
def pictures_valid(context: CheckContext) -> CheckOutcome:
    """Every stored picture has an identity of its own, a file and a size within bounds."""
    return of_rows(context.store.row_checks.count(context.job_id, "images"), "pictures")


@job_check("videos", blocking=True)
def videos_decodable(context: CheckContext) -> CheckOutcome:
    """Enough of the videos given could be opened (rule min_decodable_ratio)."""
    given = int(context.state.metadata.get("given", context.state.rows))
    problems = context.store.state.problems(context.job_id, "videos")
    return _enough(context, context.state.rows, given, "videos", [p.item for p in problems])


def _enough(context: CheckContext, good: int, given: int, what: str, bad: list[str]) -> CheckOutcome:
    ratio, wanted = good / max(1, given), context.rules.min_decodable_ratio
    return CheckOutcome(
        ratio >= wanted,
        f"{good} of {given} {what} can be used ({ratio:.0%}); wanted {wanted:.0%}",
        metadata={"ratio": ratio, "threshold": wanted, "usable": good, "given": given, "unusable": bad[:20]},
    )


@job_check("keyframes", blocking=True)
def enough_frames(context: CheckContext) -> CheckOutcome:
    """Videos have at least min_frames_per_video keyframes; the share that must is min_decodable_ratio."""
    repo, rules = context.store.videos, context.rules
    frames = Counter(f.video_id for f in repo.frames(context.job_id, context.key("keyframes")))
    names = {m.video_id: m.given_name for m in repo.members(context.job_id)}
    few = [name for video, name in names.items() if frames[video] < rules.min_frames_per_video]
    share = 1 - len(few) / max(1, len(names))
    blocks = share < rules.min_decodable_ratio
    summary = (
        f"{len(names) - len(few)} of {len(names)} videos have at least {rules.min_frames_per_video} keyframes"
    )
    metadata = {
        "ratio": share, "threshold": rules.min_decodable_ratio, "videos": len(names), "too_few": len(few),
        "videos_with_too_few": few[:20],
    }  # fmt: skip
    return CheckOutcome(not few, summary, "ERROR" if blocks else "WARN", metadata)


@job_check("keyframes", blocking=True)
def frames_valid(context: CheckContext) -> CheckOutcome:
    """Every keyframe has a second, a shot, a file and a size."""
    return of_rows(context.store.row_checks.count(context.job_id, "frames"), "keyframes")


CHECKS = (
    products_valid,
    product_sources_answered,
    video_sources_answered,
    pictures_decodable,
    pictures_valid,
    videos_decodable,
    enough_frames,
    frames_valid,
)
