"""What a job will take, before it runs: the table of `pvm run --dry-run`, and one line before a large job."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from pvm_cli.console import note, out
from pvm_cli.tables import print_json, print_table
from pvm_core.errors import PvmError
from pvm_core.run_estimate import (
    RunEstimate,
    SourceEstimate,
    Span,
    StageEstimate,
    count_text,
    duration_text,
    plain,
)
from pvm_core.wording import counted

if TYPE_CHECKING:
    from pvm_cli.session import Session
    from pvm_jobs.request import JobRequest
    from pvm_resources.store.records import Industry

#: A job that may take so many seconds is announced. Ten minutes is past what one watches: the demo and the
#: case of docs/performance.md, a minute each, stay below it at four times their time.
LARGE_S: Final = 600.0
_ENOUGH: Final = {"yes": "enough", "perhaps": "perhaps too few", "no": "too few", None: ""}


def show_estimate(session: Session, industry: Industry, request: JobRequest, *, as_json: bool) -> None:
    """Prints what a job of this request would take; stores nothing and asks nobody."""
    from pvm_resources.estimates.estimator import estimate

    found = estimate(session.store, session.settings, industry, request)
    if as_json:
        print_json(plain(found))
        return
    _print_sources(found)
    _print_stages(found)
    out().print(f"in all {_total_text(found)}", style="bold", soft_wrap=True)
    for line in _warnings(found):
        note(line)
    note("nothing was stored and nobody asked; basis default: docs/performance.md, no job here measured it")


def note_large(session: Session, industry: Industry, request: JobRequest) -> None:
    """One line before a job that takes long, and one for each quota that may not suffice."""
    from pvm_resources.estimates.estimator import estimate

    try:
        found = estimate(session.store, session.settings, industry, request)
    except PvmError:
        # The job meets the same fault, and says it as its own; slow counting is no reason to refuse a job.
        return
    if found.seconds.most >= LARGE_S:
        note(f"expect {_total_text(found)}; --dry-run says how that comes about")
    for source in found.short_of_calls:
        note(_short_text(source))


def _total_text(found: RunEstimate) -> str:
    least = "" if found.complete else "at least "
    calls = [f"{count_text(one.all_calls)} calls of {one.source}" for one in found.sources if one.calls]
    space = f"{_bytes_text(found.disk_bytes)} of {_size_text(found.disk_free)} free on disk"
    return ", ".join((f"{least}{duration_text(found.seconds)}", *calls, space))


def _warnings(found: RunEstimate) -> list[str]:
    lines = [f"{one.source}: {one.remark}" for one in found.sources if one.remark]
    lines += [_short_text(one) for one in found.short_of_calls]
    if found.disk_bytes.most > found.disk_free:
        lines.append("the disk may be too small; pvm purge deletes what sources' terms have ended")
    return lines


def _short_text(one: SourceEstimate) -> str:
    left = one.quota.left if one.quota is not None else None
    most = f"{left:,} of today's calls are left" if left is not None else ""
    return f"{one.source}: {count_text(one.all_calls)} calls are needed and {most}; give a smaller --top"


def _print_sources(found: RunEstimate) -> None:
    columns = ("source", "gives", "count", "pictures", "minutes", "calls", "left today", "quota")
    rows = [
        (
            one.source,
            one.kind,
            _records_text(one),
            count_text(one.pictures) if one.pictures.most else "",
            _minutes_text(one.video_s) if one.video_s.most else "",
            "\n".join(f"{call.what}: {count_text(call.count)}" for call in one.calls) or "none",
            one.quota.left if one.quota is not None else "",
            _ENOUGH[one.enough],
        )
        for one in found.sources
    ]
    print_table(columns, rows, whole=("gives",), numbers=("left today",))
    out().print()


def _records_text(one: SourceEstimate) -> str:
    if one.records is None:
        return "unknown"
    text = count_text(one.records)
    known = one.records.most - one.fresh.most
    if one.counted and one.kind == "videos" and not one.downloads.most and known > 0:
        return f"{text}, {known:,.0f} stored"
    return text if one.counted else f"up to {text}"


def _print_stages(found: RunEstimate) -> None:
    columns = ("stage", "items", "unit", "time", "basis")
    shown = [one for one in found.stages if one.items.most]
    rows = [
        (one.stage, count_text(one.items), one.unit, duration_text(one.seconds), _basis_text(one))
        for one in shown
    ]
    print_table(columns, rows, whole=("stage", "time"))
    out().print()


def _basis_text(one: StageEstimate) -> str:
    return f"measured, {counted(one.jobs, 'job')}" if one.basis == "measured" else "default"


def _minutes_text(seconds: Span) -> str:
    return count_text(Span(seconds.least / 60, seconds.most / 60))


def _bytes_text(size: Span) -> str:
    least, most = _size_text(size.least), _size_text(size.most)
    return most if least == most else f"{least} to {most}"


def _size_text(size: float) -> str:
    if size < 1e9:
        return f"{math.ceil(size / 1e6):,} MB"
    return f"{size / 1e9:,.1f} GB"
