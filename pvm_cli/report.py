"""`pvm report`: one HTML file with the matches of an industry, to be sent to somebody."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pvm_cli.console import note
from pvm_core.errors import InputError

if TYPE_CHECKING:
    from pvm_cli.session import Session
    from pvm_core.evidence.words import Language
    from pvm_core.report.model import Report
    from pvm_resources.store.match_queries import ResultFilter
    from pvm_resources.store.match_record import MatchView
    from pvm_resources.store.records import Job


class _Status(StrEnum):
    ACCEPTED = "accepted"
    REVIEW = "review"
    REJECTED = "rejected"


def report(
    industry: Annotated[
        str | None,
        typer.Option("--industry", "-i", help="Name or slug; its latest completed job is reported."),
    ] = None,
    job: Annotated[str | None, typer.Option("--job", "-j", help="This job instead of the latest.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write; default the industry's and the job's name, here.",
            show_default=False,
        ),
    ] = None,
    status: Annotated[
        list[_Status] | None,
        typer.Option(
            "--status",
            help="Matches of this status; may be repeated. Default: accepted.",
            case_sensitive=False,
            show_default=False,
        ),
    ] = None,
    min_score: Annotated[
        float, typer.Option("--min-score", min=0.0, max=1.0, help="Matches from this score on.")
    ] = 0.0,
    limit: Annotated[int, typer.Option(min=1, max=5_000, help="Most matches listed.")] = 500,
    lang: Annotated[
        Literal["en", "vi"], typer.Option("--lang", help="Its language.", case_sensitive=False)
    ] = "en",
    max_mb: Annotated[
        float, typer.Option("--max-mb", min=0.1, max=500, help="Size of the pictures in it, megabytes.")
    ] = 20.0,
) -> None:
    """Writes one HTML file with an industry's matches, to be sent to a buyer.

    Thumbnails, evidence pictures, prices and links to the product and to the second
    of the video are in it, with filters that need no server; it loads nothing from
    the net. What people judged wrong is left out. Pictures whose source's terms
    limit their keeping are not passed on: links stand in their place.

    [bold]Examples[/bold]

      pvm report -i "gối công thái học"

      pvm report -i "gối công thái học" -o pillows.html --lang vi --status accepted --status review
    """
    from pvm_cli.results import choose_job
    from pvm_cli.session import opened
    from pvm_core.report.page import render_report
    from pvm_resources.store.match_queries import ResultFilter

    with opened() as session:
        chosen = choose_job(session, industry, job, "pvm report")
        wanted = ResultFilter([chosen.job_id], min_score, [one.value for one in status or [_Status.ACCEPTED]])
        made = _made(session, chosen, wanted, limit, lang, round(max_mb * 1_000_000))
        target = output or Path(f"{chosen.industry}-{chosen.job_id}.html")
        size = _write(target, render_report(made, lang))
    count = len(made.matches)
    note(f"{count:,} {'match' if count == 1 else 'matches'} in {target} ({size / 1e6:.1f} MB)")
    if made.left_out:
        note(f"{made.left_out:,} further matches are not listed; --limit lists more")


def _made(
    session: Session, job: Job, wanted: ResultFilter, limit: int, lang: Language, max_bytes: int
) -> Report:
    from datetime import UTC, datetime

    from pvm_api.review.i18n import language
    from pvm_assets.work.evidence import evidence_page, weights_of
    from pvm_assets.work.industry_report import report_matches, report_of
    from pvm_assets.work.picture_source import picture_source
    from pvm_resources.media.store import MediaStore
    from pvm_resources.models.calibrations import calibration_of
    from pvm_resources.settings import load_policies

    settings, store = session.settings, session.store
    policies, spoken = load_policies(settings), language(lang)
    blurs = session.rules_of(job).blur_faces
    source = picture_source(MediaStore(settings.media), settings.models, blurs=blurs)
    weights = weights_of(job.rules or vars(session.rules_of(job)))

    def reason(row: MatchView) -> str:
        return spoken.reason(row.reason) or row.reason.text()

    def page(row: MatchView) -> bytes:
        item = store.match_queries.evidence_item(row.match_id)
        return evidence_page(source, item, weights, policies, language=lang, reason=reason(row))

    rows = store.match_queries.results(wanted, limit + 1)
    matches = report_matches(rows[:limit], page, policies, reason, max_bytes=max_bytes)
    left_out = store.match_queries.count(wanted) - limit if len(rows) > limit else 0
    return report_of(
        store.industries.get(job.industry), job, store.jobs.counts(job.job_id),
        store.labels(policies).tallies([job.job_id])[job.job_id],
        calibration_of(settings.models, job.embed_model or ""), matches,
        accept=rows[0].accept if rows else session.rules_of(job).accept, made_at=datetime.now(UTC),
        left_out=left_out,
    )  # fmt: skip


def _write(target: Path, text: str) -> int:
    """Writes the file as a whole or not at all; its size in bytes."""
    data = text.encode()
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(target)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        reason = f"it cannot be written ({error.strerror or error})"
        raise InputError("output.write", str(target), reason, "Name another file, or make room") from error
    return len(data)
