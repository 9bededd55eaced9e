"""`pvm demo`: a case the project renders itself, run through Dagster and judged against its known truth."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pvm_cli.console import note, out
from pvm_cli.exits import Exit
from pvm_cli.run import exit_with, perform, settings_for
from pvm_cli.truth import Truth, Verdict, judge, read_truth

if TYPE_CHECKING:
    from pathlib import Path

    from pvm_cli.session import Session
    from pvm_resources.repositories.rows import Job

INDUSTRY: Final = "Demo"
_SHOWN: Final = 5


def demo(
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Render the case anew even where it is there already.")
    ] = False,
) -> None:
    """Renders a small case, runs it through Dagster and prints the matches.

    Catalogue pictures and clips are rendered with perspective, clutter, light,
    blur, compression and look-alike siblings. What each clip shows is known,
    so the demo prints its own precision and recall.
    Everything lies under PVM_HOME/demo.
    """
    from pvm_cli.session import ready

    settings = settings_for()
    folder = _rendered(settings.home / "demo", fresh)
    with ready(settings) as session:
        industry = session.industries.ensure(INDUSTRY)
        sources = {"products": str(folder / "products.csv"), "videos": str(folder / "videos")}
        session.industries.set_sources(industry.slug, sources)
        job = session.jobs.create(industry.slug, sources)
        code = perform(session, job)
        if code is Exit.OK:
            _judge(session, job, read_truth(folder))
    exit_with(code)


def _rendered(folder: Path, fresh: bool) -> Path:
    from pvm_resources.demo import demo_case

    started = time.monotonic()
    if demo_case(folder, fresh=fresh):
        note(f"rendered catalogue and clips in {time.monotonic() - started:.1f} s: {folder}")
    return folder


def _judge(session: Session, job: Job, truth: Truth) -> None:
    from pvm_cli.results import find_lines

    accepted = list(find_lines(session, job, 0.0, "accepted"))
    out().print(_sentence(judge(accepted, truth)), soft_wrap=True)
    pictures = [line.evidence for line in accepted if line.evidence]
    if pictures:
        out().print("\nEvidence pictures, e.g.:")
        for picture in pictures[:_SHOWN]:
            out().print(f"  {picture}", markup=False, soft_wrap=True)
    out().print(_next_steps(), markup=False)


def _sentence(verdict: Verdict) -> str:
    return (
        f"\nAgainst the known truth: precision {_share(verdict.precision)}, recall {_share(verdict.recall)} "
        f"({verdict.right} right, {verdict.wrong} wrong, {verdict.missed} missed); "
        f"right second in {verdict.on_time} of {verdict.right}"
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _next_steps() -> str:
    return f"""
Next:
  make up                                   open this job in the Dagster UI
  .venv/bin/pvm results --industry {INDUSTRY}     the same table; --format csv for programs
  .venv/bin/pvm run --industry "gối công thái học" --products catalogue.csv --videos clips/
"""
