"""`pvm results`: the pairs of a job, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pvm_cli import lines
from pvm_cli.console import data_stream, note, out
from pvm_cli.lines import ResultLine
from pvm_core.errors import InputError

if TYPE_CHECKING:
    from pvm_cli.session import Session
    from pvm_resources.media.store import MediaStore
    from pvm_resources.store.labels import VerdictFilter
    from pvm_resources.store.match_record import MatchView
    from pvm_resources.store.records import Job, MatchStatus


_WRITERS = {"csv": lines.write_csv, "json": lines.write_json, "jsonl": lines.write_jsonl}


def results(
    industry: Annotated[
        str | None, typer.Option("--industry", "-i", help="Name or slug; its latest completed job is shown.")
    ] = None,
    job: Annotated[str | None, typer.Option("--job", "-j", help="This job instead of the latest.")] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            "--min-score", min=0.0, max=1.0, help="Pairs from this score on; 0 lists every scored pair."
        ),
    ] = None,
    status: Annotated[
        Literal["accepted", "review", "rejected"] | None,
        typer.Option(
            "--status",
            help="Only pairs of this status; a verdict stands over the score.",
            case_sensitive=False,
        ),
    ] = None,
    verdict: Annotated[
        Literal["accept", "reject", "unsure", "none"] | None,
        typer.Option(
            "--verdict", help="Only pairs people judged so; none: not judged.", case_sensitive=False
        ),
    ] = None,
    form: Annotated[
        Literal["table", "csv", "json", "jsonl"],
        typer.Option("--format", "-f", help="How to write them.", case_sensitive=False),
    ] = "table",
) -> None:
    """Shows which products appear in which videos.

    Without --min-score, --status and --verdict the accepted pairs are shown:
    those people judged right, and those the score accepts unless people judged them wrong.
    CSV and JSON go to standard output, everything else to standard error.

    [bold]Examples[/bold]

      pvm results --industry "gối công thái học"

      pvm results -i "gối công thái học" --min-score 0.8 --format csv

      pvm results --job 06bq3vwk5s7d1m2a --status review

      pvm results -i "gối công thái học" --verdict reject
    """
    from pvm_cli.session import opened

    with opened() as session:
        chosen = _choose(session, industry, job)
        if min_score is None and status is None and verdict is None:
            status = "accepted"
        found = find_lines(session, chosen, min_score or 0.0, status, verdict)
        if form == "table":
            _show(chosen, list(found), status)
        else:
            _WRITERS[form](found, data_stream())


def find_lines(
    session: Session,
    job: Job,
    min_score: float,
    status: MatchStatus | None,
    verdict: VerdictFilter | None = None,
) -> Iterator[ResultLine]:
    """The pairs of `job` from `min_score` on, of `status` and with `verdict` (None: any), best first;
    streamed."""
    from pvm_resources.media.store import MediaStore

    media = MediaStore(session.settings.media)
    statuses = (status,) if status is not None else ()
    verdicts = (verdict,) if verdict is not None else ()
    rows = session.store.matching.results(
        job.job_id, min_score=min_score, statuses=statuses, verdicts=verdicts
    )
    for row in rows:
        yield _line(row, media)


def _line(match: MatchView, media: MediaStore) -> ResultLine:
    values = {
        **match.row(),
        "status": match.effective_status,
        "scored_status": match.status,
        "verdict": match.label,
        "evidence": _place(match.evidence_path, media),
        "reason": match.reason.text(),
        "purged": match.media_purged_at is not None,
    }
    return ResultLine(**{f.name: values[f.name] for f in fields(ResultLine)})


def _place(key: str | None, media: MediaStore) -> str:
    if not key:
        return ""
    path = media.path(key)
    return str(path) if path is not None else media.url_of(key)


def _choose(session: Session, industry: str | None, job: str | None) -> Job:
    if job is not None:
        chosen = session.store.jobs.get(job)
        if industry is not None and session.store.industries.get(industry).slug != chosen.industry:
            raise InputError(
                "job.industry",
                job,
                f"it is a job of {chosen.industry}",
                "Leave --industry out, or correct it",
            )
        return chosen
    if industry is None:
        raise InputError(
            "results.which", "pvm results", "neither --industry nor --job is given", "Name one of them"
        )
    return session.latest_completed(session.store.industries.get(industry))


def _show(job: Job, found: list[ResultLine], status: MatchStatus | None) -> None:
    what = status or "scored"
    if not found:
        note(f"no {what} pairs in job {job.job_id}; --min-score 0 lists every scored pair")
        return
    title = f"{len(found)} {what} pairs of job {job.job_id}"
    lines.show(out(), found, title, with_status=status is None)
