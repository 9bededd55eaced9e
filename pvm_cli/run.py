"""`pvm run` and `pvm retry`: a job through Dagster in this process, from sources to proven matches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pvm_cli import lines
from pvm_cli.console import err, note, out, own_stderr
from pvm_cli.estimate import note_large, show_estimate
from pvm_cli.exits import Exit
from pvm_cli.problems import print_problems
from pvm_cli.progress import LiveProgress
from pvm_cli.results import find_lines
from pvm_cli.source_args import check_usable, named, request_of, sources_of
from pvm_cli.states import print_states
from pvm_cli.status import counts_text, error_text
from pvm_core.errors import InputError, exit_of_dict
from pvm_core.wording import counted, near_names
from pvm_jobs.catalogue_columns import parse_columns, read_columns
from pvm_jobs.source_kinds import KINDS

if TYPE_CHECKING:
    from pvm_assets.execution.runner import RunOutcome
    from pvm_cli.session import Session
    from pvm_jobs.request import JobRequest
    from pvm_resources.store.records import CheckVerdict, Industry, Job, JobCounts

_TABLE_ROWS: Final = 40
_EXAMPLES: Final = 3

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
        list[str] | None,
        typer.Option(
            "--products",
            "-p",
            help="ebay, amazon, or a catalogue: CSV, XLSX, JSON, product feed, by path or URL. "
            "Several with commas, or repeated.",
            show_default=False,
        ),
    ] = None,
    videos: Annotated[
        list[str] | None,
        typer.Option(
            "--videos",
            "-v",
            help="youtube, bilibili, a folder of clips, a list of links (*.txt), or a link. "
            "Several with commas, or repeated.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        list[str] | None,
        typer.Option(
            "--top", help="Most records of each shop or site; ebay=50 for one of them.", show_default=False
        ),
    ] = None,
    recency_days: Annotated[
        int | None,
        typer.Option("--recency-days", help="Only videos younger than this.", show_default=False),
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(
            "--query",
            "-q",
            help='Search phrase beside those the industry keeps: en="ergonomic pillow". May be repeated.',
            show_default=False,
        ),
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
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help='Columns of a catalogue whose names say it not: product_id=SKU,image="Image URL".',
            show_default=False,
        ),
    ] = None,
    allow_outside: Annotated[
        bool,
        typer.Option(
            "--allow-outside",
            help="Pictures of a catalogue, and links in a folder of clips, may lie outside its folder.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only say what it would take: products, videos, calls, quota, time, space."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: as one JSON object.")] = False,
) -> None:
    """Finds products of catalogues and shops in clips and online videos.

    Shows each asset's progress, then the accepted pairs, and each source
    that gave less than was requested, with the reason.

    Ctrl-C cancels: what is finished is kept, and pvm retry goes on from there.
    Without --products or --videos the industry's standing sources are used.
    pvm sources shows what each source needs.

    [bold]Examples[/bold]

      pvm run --industry "gối công thái học" \\
          --products catalogue.csv --videos clips/

      pvm run --industry "ergonomic pillow" --products ebay,amazon \\
          --videos youtube,bilibili --top 20 --recency-days 365 --dry-run
    """
    from pvm_cli.session import opened, ready
    from pvm_resources.settings import load_settings

    if as_json and not dry_run:
        raise InputError(
            "run.options", "--json", "it goes with --dry-run", "For results: pvm results --format json"
        )
    mapped = read_columns(columns or ())
    files = partial(sources_of, products, videos, allow_outside=allow_outside)
    given, refused = _first_look(files, mapped)
    settings = load_settings()
    check_usable(given, settings)
    with opened(create=True) if dry_run else ready(settings) as session:
        _note_new_name(session, industry)
        # A name is stored once nothing is wrong with the rest: it may be mistyped.
        draft = session.store.industries.draft(industry)
        if refused is not None:
            saved = parse_columns(draft.sources.get("columns"))
            if not saved:
                raise refused
            given = files(columns=saved)
            check_usable(given, settings)
        request = request_of(
            draft,
            given,
            top=top or (),
            recency_days=recency_days,
            queries=query or (),
            embed_model=embed_model,
            allow_outside=allow_outside,
            columns=mapped,
        )
        draft = replace(draft, rule_set=rule_set or draft.rule_set)
        if dry_run:
            note_missing_phrases(session, draft, request)
            show_estimate(session, draft, request, as_json=as_json)
            return
        if job is None:
            note_large(session, draft, request)
        chosen = session.store.industries.ensure(industry)
        if rule_set is not None:
            _keep_rule_set(session, chosen, rule_set)
        note_missing_phrases(session, chosen, request)
        made = session.store.jobs.create(chosen.slug, request.to_json(), job)
        if job is not None and made.industry != chosen.slug:
            raise InputError("job.industry", job, f"it is a job of {made.industry}", "Choose another id")
        exit_with(perform(session, made))


def _first_look(
    files: Callable[..., dict[str, list[str]]], mapped: Mapping[str, str]
) -> tuple[dict[str, list[str]], InputError | None]:
    """The sources, checked before a database is opened; the error where only the columns that the industry
    keeps may tell what a catalogue's are."""
    try:
        return files(columns=mapped), None
    except InputError as error:
        if mapped or error.code != "table.columns":
            raise
        return {}, error


def retry(
    job: Annotated[str, typer.Argument(help="Id of the job, as pvm status shows it.", show_default=False)],
) -> None:
    """Runs a job again: finished items are reused, failed and new ones are worked on.

    So are downloads that were given up; what sources answered is not requested again.
    """
    from pvm_cli.session import ready
    from pvm_resources.settings import load_settings

    with ready(load_settings()) as session:
        found = session.store.jobs.get(job)
        before = len(session.store.source_runs.dead_letters(job))
        if before:
            note(f"{counted(before, 'item')} given up before: tried again")
        code = perform(session, found)
        if before:
            left = len(session.store.source_runs.dead_letters(job))
            note(f"{counted(left, 'item')} given up now; pvm status --job {job} lists them")
        exit_with(code)


def perform(session: Session, job: Job) -> Exit:
    """Runs `job`, shows progress and summary, and says how it ended."""
    started = time.monotonic()
    note(f"job {job.job_id} of {job.industry}")
    outcome = _execute(session, job)
    seconds = time.monotonic() - started
    for run_id in outcome.stale:
        note(f"run {run_id[:8]} had lost its worker and is marked failed")
    if outcome.status == "completed":
        _print_matches(session, session.store.jobs.get(job.job_id))
    print_states(err(), session.store.source_runs.states(job.job_id))
    print_problems(err(), session.store.state.problems(job.job_id))
    return _conclude(session, job, outcome, seconds)


def exit_with(code: Exit) -> None:
    """Ends the command with `code`."""
    if code is not Exit.OK:
        raise typer.Exit(code.value)


def _execute(session: Session, job: Job) -> RunOutcome:
    session.store.state.clear_progress(job.job_id)
    with err().status("starting Dagster"):
        from pvm_assets.execution.code_location import CodeLocation
        from pvm_assets.execution.runner import run_job
        from pvm_resources.settings import project_root

        location = CodeLocation.of_workspace(project_root() / "workspace.yaml")

    progress = session.store.state.progress
    with own_stderr() as console, LiveProgress(lambda: progress(job.job_id), console):
        return run_job(job.job_id, session.settings, location)


def _note_new_name(session: Session, name: str) -> None:
    """Says that an industry is a new one where another has nearly its name."""
    if session.store.industries.find(name) is not None:
        return
    near = near_names(name, (one.name for one in session.store.industries.list()), most=1)
    if near:
        note(f'"{name}" is a new industry; there is also "{near[0]}"')


def _keep_rule_set(session: Session, industry: Industry, rule_set: str) -> None:
    from pvm_jobs.rules import resolve

    resolve(rule_set, industry.rules)
    session.store.industries.set_rules(industry.slug, rule_set, industry.rules)


def note_missing_phrases(session: Session, industry: Industry, request: JobRequest) -> None:
    """Says which sources have no phrase in a language of theirs: they look for the industry as typed."""
    from pvm_resources.sources.readiness import languages
    from pvm_resources.sources.search_terms import UND, keep_command, may_be_in, terms_for

    found = terms_for(industry, request, session.settings).phrases
    bare: dict[str, list[str]] = {}
    for source in (token for kind in KINDS for token in getattr(request, kind) if token in named(kind)):
        read = languages(source, session.settings)
        if not read or set(read) & set(found):
            continue
        if not any(may_be_in(phrase, read[0]) for phrase in found[UND]):
            bare.setdefault(read[0], []).append(source)
    for language, sources in bare.items():
        typed = ", ".join(f'"{phrase}"' for phrase in found[UND])
        note(
            f"no queries in {language}: {' and '.join(sources)} searched for {typed}; "
            f"keep phrases: {keep_command(industry.name, language)}"
        )


def _print_matches(session: Session, job: Job) -> None:
    found = list(find_lines(session, job, 0.0, "accepted"))
    if not found:
        note("no pair was accepted; pvm results --min-score 0 lists every scored pair with its reason")
        return
    lines.show(
        out(),
        found[:_TABLE_ROWS],
        counted(len(found), "accepted match", "accepted matches"),
        with_status=False,
        paths=_EXAMPLES,
    )
    if len(found) > _TABLE_ROWS:
        note(f"and {len(found) - _TABLE_ROWS} more: pvm results --job {job.job_id}")


def _conclude(session: Session, job: Job, outcome: RunOutcome, seconds: float) -> Exit:
    counts = _worked_on(session, job)
    if outcome.status == "cancelled":
        note(f"cancelled after {seconds:.0f} s; resume with pvm retry {job.job_id}")
        return Exit.CANCELLED
    if outcome.status == "failed":
        failed = [v for v in session.store.state.verdicts(job.job_id) if v.blocking and not v.passed]
        return _conclude_failed(job, outcome.error or {}, failed, counts, seconds)
    note(f"done in {seconds:.1f} s: {counts_text(counts)}")
    return Exit.OK if counts.images and counts.frames else Exit.NOTHING


def _worked_on(session: Session, job: Job) -> JobCounts:
    """What the job has, with the pictures it worked on: some sources let none be kept past its end."""
    counts = session.store.jobs.counts(job.job_id)
    state = session.store.state.asset(job.job_id, "product_images")
    return replace(counts, images=max(counts.images, state.rows if state else 0))


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
    found = exit_of_dict(error)
    nothing = blocked is not None and not (counts.images and counts.frames)
    return Exit.NOTHING if nothing and found is not Exit.UNAVAILABLE else found
