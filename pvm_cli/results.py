"""`pvm results`: the pairs of a job, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from pvm_cli import lines
from pvm_cli.console import data_stream, note, out
from pvm_cli.lines import ResultLine
from pvm_core.errors import InputError
from pvm_core.wording import counted

if TYPE_CHECKING:
    from pvm_cli.session import Session
    from pvm_resources.media.store import MediaStore
    from pvm_resources.store.labels import VerdictFilter
    from pvm_resources.store.match_record import MatchView
    from pvm_resources.store.records import Job, MatchStatus


_Form = Literal["table", "csv", "json", "jsonl", "xlsx"]
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
        _Form | None,
        typer.Option(
            "--format",
            "-f",
            help="How to write them; default a table, with --output what its ending says.",
            case_sensitive=False,
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write: .csv, .json, .jsonl, .xlsx.", show_default=False),
    ] = None,
) -> None:
    """Shows which products appear in which videos.

    Without --min-score, --status and --verdict the accepted pairs are shown:
    those people judged right, and those the score accepts unless people judged them wrong.
    CSV and JSON go to standard output, everything else to standard error; a workbook
    needs --output. Each row has the product's price and address, and the video's
    address at the second of the match.

    [bold]Examples[/bold]

      pvm results --industry "gối công thái học"

      pvm results -i "gối công thái học" --min-score 0.8 --format csv

      pvm results --job 06bq3vwk5s7d1m2a --status review

      pvm results -i "gối công thái học" --verdict reject

      pvm results -i "gối công thái học" -o matches.xlsx
    """
    from pvm_cli.session import opened

    kind = _form(form, output)
    with opened() as session:
        chosen = choose_job(session, industry, job, "pvm results")
        if min_score is None and status is None and verdict is None:
            status = "accepted"
        found = find_lines(session, chosen, min_score or 0.0, status, verdict)
        if output is not None:
            note(f"{_write(found, kind, output)} in {output}")
        elif kind == "table":
            _show(chosen, list(found), status)
        else:
            _WRITERS[kind](found, data_stream())


def _form(form: _Form | None, output: Path | None) -> _Form:
    """How to write: what was asked for, else what the file's ending says."""
    if output is None:
        if form == "xlsx":
            reason = "a workbook does not go to standard output"
            raise InputError("output.form", "--format xlsx", reason, "Name a file: --output matches.xlsx")
        return form or "table"
    ending = output.suffix.lower().removeprefix(".")
    found = form or (ending if ending in (*_WRITERS, "xlsx") else None)
    if found is None or found == "table":
        reason = "its ending names no form" if found is None else "a table is for the terminal"
        raise InputError("output.form", str(output), reason, "End it in .csv, .json, .jsonl or .xlsx")
    return cast("_Form", found)


def _write(found: Iterator[ResultLine], form: _Form, output: Path) -> str:
    """Writes a file; a text for how many rows."""
    if form == "xlsx":
        from pvm_cli.workbook import write_workbook

        count = write_workbook(found, output)
        return f"{count:,} {'row' if count == 1 else 'rows'}"
    rows = list(found)
    try:
        with output.open("w", encoding="utf-8", newline="") as stream:
            _WRITERS[form](rows, stream)
    except OSError as error:
        reason = f"it cannot be written ({error.strerror or error})"
        raise InputError("output.write", str(output), reason, "Name another file, or make room") from error
    return f"{len(rows):,} {'row' if len(rows) == 1 else 'rows'}"


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

    media, base = MediaStore(session.settings.media), session.settings.public_url
    statuses = (status,) if status is not None else ()
    verdicts = (verdict,) if verdict is not None else ()
    rows = session.store.matching.results(
        job.job_id, min_score=min_score, statuses=statuses, verdicts=verdicts
    )
    for row in rows:
        yield _line(row, media, base)


def _line(match: MatchView, media: MediaStore, base: str) -> ResultLine:
    values = {
        **match.row(),
        "status": match.effective_status,
        "scored_status": match.status,
        "verdict": match.label,
        "evidence": _place(match.evidence_path, media),
        "reason": match.reason.text(),
        "purged": match.media_purged_at is not None,
        "video_url": match.video_at(),
        "published": match.published_at.isoformat() if match.published_at else "",
        "evidence_url": f"{base}/v1/matches/{match.match_id}/evidence" if match.evidence_path else "",
        "review_url": f"{base}/review/match/{match.match_id}",
    }
    return ResultLine(**{f.name: values[f.name] for f in fields(ResultLine)})


def _place(key: str | None, media: MediaStore) -> str:
    if not key:
        return ""
    path = media.path(key)
    return str(path) if path is not None else media.url_of(key)


def choose_job(session: Session, industry: str | None, job: str | None, command: str) -> Job:
    """The job named, else the industry's latest completed one.

    Raises:
        InputError: ``job.industry``, ``results.which``, or neither is known.
    """
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
            "results.which", command, "neither --industry nor --job is given", "Name one of them"
        )
    return session.latest_completed(session.store.industries.get(industry))


def _show(job: Job, found: list[ResultLine], status: MatchStatus | None) -> None:
    what = status or "scored"
    if not found:
        note(f"no {what} pairs in job {job.job_id}; --min-score 0 lists every scored pair")
        return
    title = f"{counted(len(found), f'{what} pair')} of job {job.job_id}"
    lines.show(out(), found, title, with_status=status is None)
