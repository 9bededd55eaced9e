"""`pvm run` and `pvm retry`: a job through Dagster in this process, from sources to proven matches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pvm_cli import lines
from pvm_cli.console import err, note, out, own_stderr
from pvm_cli.exits import Exit
from pvm_cli.industries import sources_of
from pvm_cli.problems import print_problems
from pvm_cli.progress import LiveProgress, StageCount
from pvm_cli.results import find_lines
from pvm_cli.status import error_text
from pvm_core.errors import InputError

if TYPE_CHECKING:
    from pvm_assets.runner import RunOutcome
    from pvm_cli.session import Session
    from pvm_resources.repositories.rows import CheckVerdict, Industry, Job, JobCounts

_TABLE_ROWS: Final = 40
_EXAMPLES: Final = 3
#: Codes of failures that the user's input explains.
_INPUT: Final = ("catalogue.", "table.", "source.", "rules.", "settings.", "videos.", "model.")
_NOTHING: Final = ("products.none", "pictures.none", "videos.none")

_Model = Annotated[
    str | None,
    typer.Option("--embed-model", help="Embedder by name, or auto; see pvm models list.", show_default=False),
]


def run(
    industry: Annotated[
        str,
        typer.Option("--industry", "-i", help="Name of the industry, in any language.", show_default=False),
    ],
    products: Annotated[
        Path | None,
        typer.Option("--products", "-p", help="Catalogue file: CSV or JSON lines.", show_default=False),
    ] = None,
    videos: Annotated[
        Path | None,
        typer.Option("--videos", "-v", help="Folder of clips, with its subfolders.", show_default=False),
    ] = None,
    job: Annotated[
        str | None,
        typer.Option(
            "--job", "-j", help="Id of the new job; one that exists is resumed.", show_default=False
        ),
    ] = None,
    embed_model: _Model = None,
    rule_set: Annotated[
        str | None,
        typer.Option("--rule-set", help="Named rules; the industry keeps them.", show_default=False),
    ] = None,
) -> None:
    """Finds the products of a catalogue in a folder of clips.

    Shows each asset's progress, then the accepted pairs.

    Ctrl-C cancels: what is finished is kept, and pvm retry goes on from there.
    Without --products or --videos the industry's standing sources are used.

    [bold]Example[/bold]

      pvm run --industry "gối công thái học" \\
          --products catalogue.csv --videos clips/
    """
    from pvm_cli.session import ready
    from pvm_resources.settings import load_settings

    given = sources_of(products, videos)
    with ready(load_settings()) as session:
        chosen = session.industries.ensure(industry)
        if rule_set is not None:
            _keep_rule_set(session, chosen, rule_set)
        request = _request(chosen, given) | ({"embed_model": embed_model} if embed_model else {})
        made = session.jobs.create(chosen.slug, request, job)
        if job is not None and made.industry != chosen.slug:
            raise InputError("job.industry", job, f"it is a job of {made.industry}", "Choose another id")
        exit_with(perform(session, made))


def retry(
    job: Annotated[str, typer.Argument(help="Id of the job, as pvm status shows it.", show_default=False)],
) -> None:
    """Runs a job again: finished items are reused, failed and new ones are worked on."""
    from pvm_cli.session import ready
    from pvm_resources.settings import load_settings

    with ready(load_settings()) as session:
        exit_with(perform(session, session.jobs.get(job)))


def perform(session: Session, job: Job) -> Exit:
    """Runs `job`, shows progress and summary, and says how it ended."""
    started = time.monotonic()
    note(f"job {job.job_id} of {job.industry}")
    outcome = _execute(session, job)
    seconds = time.monotonic() - started
    for run_id in outcome.stale:
        note(f"run {run_id[:8]} had lost its worker and is marked failed")
    if outcome.status == "completed":
        _print_matches(session, session.jobs.get(job.job_id))
    print_problems(err(), session.state.problems(job.job_id))
    return _conclude(session, job, outcome, seconds)


def exit_with(code: Exit) -> None:
    """Ends the command with `code`."""
    if code is not Exit.OK:
        raise typer.Exit(code.value)


def _execute(session: Session, job: Job) -> RunOutcome:
    session.state.clear_progress(job.job_id)
    with err().status("starting Dagster"):
        from pvm_assets.runner import run_job

    def poll() -> list[StageCount]:
        rows = session.state.progress(job.job_id)
        return [StageCount(p.stage, p.done, p.total or 0, p.reused) for p in rows]

    with own_stderr() as console, LiveProgress(poll, console):
        return run_job(job.job_id, session.settings)


def _keep_rule_set(session: Session, industry: Industry, rule_set: str) -> None:
    from pvm_core.rules import resolve

    resolve(rule_set, industry.rules)
    session.industries.set_rules(industry.slug, rule_set, industry.rules)


def _request(industry: Industry, given: dict[str, Any]) -> dict[str, Any]:
    request = {**industry.sources, **given}
    for kind in ("products", "videos"):
        if not request.get(kind):
            raise InputError(
                "run.source",
                f"--{kind}",
                f"it is not given, and the industry {industry.name} has no standing source of it",
                f"Name it, or keep it for all jobs: pvm industries add {industry.slug} --{kind} PATH",
            )
    return request


def _print_matches(session: Session, job: Job) -> None:
    found = list(find_lines(session, job, 0.0, "accepted"))
    if not found:
        note("no pair was accepted; pvm results --min-score 0 lists every scored pair with its reason")
        return
    lines.show(
        out(), found[:_TABLE_ROWS], f"{len(found)} accepted matches", with_status=False, paths=_EXAMPLES
    )
    if len(found) > _TABLE_ROWS:
        note(f"and {len(found) - _TABLE_ROWS} more: pvm results --job {job.job_id}")


def _conclude(session: Session, job: Job, outcome: RunOutcome, seconds: float) -> Exit:
    counts = session.jobs.counts(job.job_id)
    if outcome.status == "cancelled":
        note(f"cancelled after {seconds:.0f} s; resume with pvm retry {job.job_id}")
        return Exit.CANCELLED
    if outcome.status == "failed":
        failed = [v for v in session.state.verdicts(job.job_id) if v.blocking and not v.passed]
        return _conclude_failed(job, outcome.error or {}, failed, counts, seconds)
    note(
        f"done in {seconds:.1f} s: {counts.products:,} products ({counts.images:,} pictures), "
        f"{counts.videos:,} videos ({counts.frames:,} keyframes); "
        f"{counts.accepted:,} accepted, {counts.review:,} to review, {counts.rejected:,} rejected"
    )
    return Exit.OK if counts.images and counts.frames else Exit.NOTHING


def _conclude_failed(
    job: Job, error: dict[str, Any], failed: Sequence[CheckVerdict], counts: JobCounts, seconds: float
) -> Exit:
    blocked = next((v for v in failed if error.get("stage") == f"{v.asset}_{v.check_name}"), None)
    if blocked is None:
        note(f"failed after {seconds:.0f} s: {error_text(error)}")
    else:
        note(
            f"stopped after {seconds:.0f} s: check {blocked.check_name} of {blocked.asset} failed: "
            f"{blocked.metadata.get('summary', 'see its result')}. "
            f"Correct the data, or the industry's rules (pvm rules show -i {job.industry}) [check.failed]"
        )
    note(f"resume with pvm retry {job.job_id}")
    if error.get("retryable"):
        return Exit.UNAVAILABLE
    code = str(error.get("code", ""))
    if code in _NOTHING or (blocked is not None and not (counts.images and counts.frames)):
        return Exit.NOTHING
    return Exit.USAGE if code.startswith(_INPUT) else Exit.FAILED
