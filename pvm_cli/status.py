"""`pvm status`: the services and the progress of the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pvm_cli.console import note, out, shorten
from pvm_cli.problems import print_problems
from pvm_cli.progress import STAGES
from pvm_cli.services import API, CONSUMER, DAEMON, RELAY, SERVICES, WEBSERVER
from pvm_cli.session import opened
from pvm_cli.states import dead_letters_table, states_table
from pvm_cli.tables import AsJson, Cell, print_json, print_table
from pvm_core.errors import InputError
from pvm_core.wording import counted

if TYPE_CHECKING:
    from pvm_cli.session import Session
    from pvm_core.errors import Problem
    from pvm_resources.settings import Settings
    from pvm_resources.store.records import AssetState, Job, JobCounts, Progress
    from pvm_resources.store.source_runs import DeadLetter, SourceState

_STYLES = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}


@dataclass(frozen=True)
class JobView:
    """A job as the status shows it; `percent` and `eta_s` are those of the API.

    `finished` holds the assets that ended, by name.
    """

    job: Job
    counts: JobCounts
    progress: list[Progress]
    finished: dict[str, AssetState]
    sources: list[SourceState]
    dead_letters: list[DeadLetter]
    percent: int
    eta_s: int | None
    alive: bool


def status(
    job: Annotated[
        str | None, typer.Option("--job", "-j", help="One job in detail: assets, checks, sources, problems.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Jobs shown, newest first.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Shows the services and the jobs: phase, percent, counts, problems."""
    from pvm_resources.settings import load_settings

    settings = load_settings()
    services = _services(settings)
    try:
        with opened() as session:
            jobs = [session.store.jobs.get(job)] if job else session.store.jobs.list(limit=limit)
            views = [_view(session, each) for each in jobs]
            if as_json:
                problems = session.store.state.problems(job) if job else None
                print_json(_as_json(services, views, problems))
                return
            _print_services(services)
            if job:
                _print_detail(session, views[0])
            else:
                _print_jobs(views)
    except InputError as error:
        if error.code != "home.empty":
            raise
        _print_services(services)
        note(f"no jobs yet. {error.remedy}")


def _services(settings: Settings) -> dict[str, str]:
    from pvm_cli.processes import ServiceFolder
    from pvm_resources.postgres import dsn
    from pvm_resources.postgres.server import EmbeddedServer

    folder = ServiceFolder(settings.home)
    services = {name: folder.find(name) for name in SERVICES}

    def state(name: str) -> str:
        found = services[name]
        return "stopped" if found is None else found.url or f"running (pid {found.pid})"

    if settings.database_url is not None:
        database = dsn.describe(settings.database_url.get_secret_value())
    else:
        found = EmbeddedServer(settings.home).status()
        database = f"embedded, running (pid {found.pid})" if found.running else "embedded, stopped"
    return {
        "home": str(settings.home),
        "database": database,
        "Dagster UI": state(WEBSERVER),
        "REST API": state(API),
        "daemon": state(DAEMON),
        "relay": state(RELAY),
        **({"consumer": state(CONSUMER)} if settings.product_stream_type != "postgres" else {}),
    }


def _view(session: Session, job: Job) -> JobView:
    from pvm_assets.job_progress import eta_s, percent_of
    from pvm_jobs.lifecycle import derive_phase
    from pvm_resources.postgres.locks import job_lock_name

    progress = session.store.state.progress(job.job_id)
    finished = {state.asset: state for state in session.store.state.assets(job.job_id)}
    alive = job.status != "running" or bool(session.database.locked([job_lock_name(job.job_id)]))
    states = session.store.source_runs.states(job.job_id)
    dead_letters = session.store.source_runs.dead_letters(job.job_id)
    counts = session.store.jobs.counts(job.job_id)
    shares = session.store.state.shares([job.job_id])
    reached = derive_phase(session.store.match_queries.phase_events([job.job_id]).get(job.job_id, ()))
    percent = percent_of(job.status == "completed", reached, shares)
    running = job.status == "running" and alive
    eta = eta_s(reached, shares, session.store.state.now()) if running else None
    return JobView(job, counts, progress, finished, states, dead_letters, percent, eta, alive)


def _print_services(services: dict[str, str]) -> None:
    for name, value in services.items():
        out().print(f"{name:<12} {value}", soft_wrap=True)


def _print_jobs(views: list[JobView]) -> None:
    if not views:
        note("no jobs yet")
        return
    print_table(
        ("job", "industry", "state", "matches", "problems", "started"),
        map(_job_row, views),
        whole=("job", "state", "started"),
        cut=("industry",),
        numbers=("matches", "problems"),
    )


def _job_row(view: JobView) -> Sequence[Cell]:
    counts, job = view.counts, view.job
    return (
        job.job_id,
        shorten(job.industry, 40),
        (_state(view), _STYLES.get(job.status, "")),
        f"{counts.accepted:,}" + (f" +{counts.review:,}?" if counts.review else ""),
        counts.problems,
        (job.started_at or job.created_at).astimezone().strftime("%m-%d %H:%M"),
    )


def _state(view: JobView) -> str:
    job = view.job
    if job.status == "running" and not view.alive:
        return f"stopped at {view.percent} %"
    if job.status != "running":
        return job.status
    left = f", {timedelta(seconds=view.eta_s)} left" if view.eta_s is not None else ""
    return f"{job.phase.replace('_', ' ')} {view.percent} %{left}"


def _print_detail(session: Session, view: JobView) -> None:
    job = view.job
    out().print(f"{'job':<12} {job.job_id} of {job.industry}: {_state(view)}")
    if job.status == "running" and not view.alive:
        note(f"its process is gone; resume with pvm retry {job.job_id}")
    if job.error:
        out().print(f"{'error':<12} {error_text(job.error)}", soft_wrap=True)
    if job.rules:
        out().print(f"{'rules':<12} {rules_text(job.rules)}", soft_wrap=True)
    failed = [v for v in session.store.state.verdicts(job.job_id) if not v.passed]
    done = {p.stage: p for p in view.progress}
    print_table(
        ("asset", "done", "total", "reused", "seconds", "a second", "failed checks"),
        (
            _stage_row(
                stage,
                done.get(stage),
                _pace(view, stage),
                ", ".join(v.check_name for v in failed if v.asset == stage),
            )
            for stage in STAGES
        ),
        numbers=("done", "total", "reused", "seconds", "a second"),
    )
    out().print(f"\n{counts_text(view.counts)}")
    states_table(out(), view.sources)
    dead_letters_table(out(), view.dead_letters, job.job_id)
    print_problems(out(), session.store.state.problems(job.job_id), full=True)


def _pace(view: JobView, stage: str) -> dict[str, float | None]:
    """Seconds the asset last took, new items a second; None where it has not ended, or had nothing new."""
    facts = view.finished[stage].metadata if stage in view.finished else {}
    return {name: facts.get(name) for name in ("seconds", "items_per_second")}


def _stage_row(
    stage: str, found: Progress | None, pace: dict[str, float | None], checks: str
) -> Sequence[Cell]:
    if found is None:
        return [(cell, "dim") for cell in (stage, "-", "-", "-", "-", "-", checks)]
    figures = ["-" if value is None else f"{value:.1f}" for value in pace.values()]
    return stage, found.done, found.total or 0, found.reused, *figures, checks


def error_text(error: dict[str, Any]) -> str:
    """A job's stored error in one line."""
    # The reason of other errors holds a traceback: its first and last line name the failure.
    reason = str(error.get("reason", "failed")).strip().splitlines() or ["failed"]
    said = reason[0] if len(reason) == 1 else f"{reason[0]} … {reason[-1].strip()}"
    parts = [f"{error.get('subject') or error.get('stage') or 'run'}: {said}"]
    if error.get("remedy"):
        parts.append(str(error["remedy"]))
    return f"{'. '.join(parts)} [{error.get('code', 'internal')}]"


def counts_text(c: JobCounts) -> str:
    """What a job holds, in one line."""
    return (
        f"{counted(c.products, 'product')} ({counted(c.images, 'picture')}), "
        f"{counted(c.videos, 'video')} ({counted(c.frames, 'keyframe')}); "
        f"{c.accepted:,} accepted, {c.review:,} to review, {c.rejected:,} rejected"
    )


def rules_text(rules: dict[str, Any]) -> str:
    """The rules a job was decided under in one line: what differs from the default."""
    from pvm_core.rules import Rules

    usual = vars(Rules())
    return ", ".join(f"{k}={v}" for k, v in rules.items() if usual.get(k) != v) or "default"


def _as_json(
    services: dict[str, str], views: list[JobView], problems: Sequence[Problem] | None
) -> dict[str, Any]:
    """Services and jobs; a job that is asked for by itself with its `problems`."""
    jobs = [
        {
            "job": v.job.job_id,
            **{name: getattr(v.job, name) for name in ("industry", "status", "phase", "error")},
            "percent": v.percent,
            "eta_s": v.eta_s,
            "alive": v.alive,
            "rules": v.job.rules,
            "counts": asdict(v.counts),
            "progress": [{**asdict(p), **_pace(v, p.stage)} for p in v.progress],
            "sources": [asdict(s) for s in v.sources],
            "dead_letters": [asdict(d) for d in v.dead_letters],
            **({} if problems is None else {"problems": [asdict(p) for p in problems]}),
        }
        for v in views
    ]
    return {"services": services, "jobs": jobs}
