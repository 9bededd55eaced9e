"""`pvm demo`: renders a case, runs it through Dagster and measures the results against the known truth."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pvm_cli.console import err, note, out
from pvm_cli.exits import Exit
from pvm_cli.run import exit_with, perform

if TYPE_CHECKING:
    from pathlib import Path

    from pvm_cli.session import Session
    from pvm_demo.case import CaseInfo
    from pvm_demo.scoring import CaseScore
    from pvm_resources.store.records import Job

INDUSTRY: Final = "Demo"


def demo() -> None:
    """Renders a small case, runs it through Dagster and prints the matches.

    Catalogue pictures and clips are rendered with perspective, clutter, light,
    blur, compression and look-alike siblings. What each clip shows is known,
    so the demo prints its own precision and recall.
    All files are written under PVM_HOME/demo.
    """
    from pvm_cli.session import ready
    from pvm_resources.settings import load_settings

    settings = load_settings()
    case = _rendered(settings.home / "demo", settings.worker_count)
    with ready(settings) as session:
        industry = session.store.industries.ensure(INDUSTRY)
        sources = {"products": str(case.catalogue), "videos": str(case.videos)}
        session.store.industries.set_sources(industry.slug, sources)
        job = session.store.jobs.create(industry.slug, sources)
        code = perform(session, job)
        if code is Exit.OK:
            _judge(session, job, case)
    exit_with(code)


def _rendered(folder: Path, workers: int) -> CaseInfo:
    from rich.progress import Progress

    from pvm_demo.case import write_case

    started = time.monotonic()
    with Progress(console=err(), transient=True) as bar:
        task = bar.add_task("rendering catalogue and clips")
        case = write_case(
            folder,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            workers=workers,
        )
    what = f"{case.products} products ({case.pictures} pictures), {case.clips} clips of {case.seconds:.0f} s"
    took = f" in {time.monotonic() - started:.1f} s" if case.made else " before"
    note(f"rendered {what} together{took}: {folder}")
    return case


def _judge(session: Session, job: Job, case: CaseInfo) -> None:
    from pvm_cli.results import find_lines
    from pvm_demo.case import score_results
    from pvm_demo.scoring import ResultRow

    found = list(find_lines(session, job, 0.0, None))
    rows = [ResultRow(line.product, line.video, line.score, line.ts) for line in found]
    accept = session.rules_of(job).accept
    out().print(_sentence(score_results(case.folder, rows, accept=accept)), soft_wrap=True)
    out().print(_NEXT, soft_wrap=True)


def _sentence(score: CaseScore) -> str:
    lines = [
        f"\nAgainst the known truth: precision {score.precision:.3f}, "
        f"recall {score.recall:.3f} ({score.right} right of {score.accepted} accepted, "
        f"{score.true} true); right second in {score.seconds_right} of {score.right}"
    ]
    lines += [f"  wrong   {product} in {video}" for product, video in score.wrong]
    lines += [f"  missed  {product} in {video}" for product, video in score.missed]
    return "\n".join(lines)


_NEXT: Final = f"""
Next:
  make up                                  this job in the Dagster UI
  .venv/bin/pvm results -i {INDUSTRY}            the same table; --format csv for programs
  .venv/bin/pvm run --industry "gối công thái học" --products catalogue.csv --videos clips/
"""
