"""`pvm labels`: people's verdicts on matches, listed and exported for fitting."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pvm_cli.console import note
from pvm_cli.group import command_group
from pvm_cli.session import opened
from pvm_cli.tables import print_json, print_table
from pvm_core.wording import counted

if TYPE_CHECKING:
    from pvm_resources.store.labels import Label, Tally

app = command_group(
    """People's verdicts on matches, given on the review page or over the API.

  pvm labels list -i "gối công thái học"

  pvm labels export my-labels -i "gối công thái học"

  pvm evaluate my-labels --fit calibration.json
"""
)


_INDUSTRY = Annotated[
    str | None, typer.Option("--industry", "-i", help="Name or slug; default all.", show_default=False)
]


@app.command("list")
def list_all(
    industry: _INDUSTRY = None,
    history: Annotated[
        bool, typer.Option("--history", help="Superseded verdicts and undone ones as well.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most labels listed.")] = 1_000,
    form: Annotated[
        Literal["table", "json"],
        typer.Option("--format", "-f", help="How to write them.", case_sensitive=False),
    ] = "table",
) -> None:
    """Lists labels, newest first, and the precision they show."""
    from pvm_resources.settings import load_policies

    with opened() as session:
        slug = session.store.industries.get(industry).slug if industry else None
        labels = session.store.labels(load_policies(session.settings))
        found = labels.list(limit, industry=slug, history=history)
        if form == "json":
            print_json([asdict(label) for label in found])
            return
        _show(found)
        for one in session.store.industries.list():
            job = session.store.jobs.latest(one.slug)
            if job is not None and slug in (None, one.slug):
                tally = labels.tallies([job.job_id])[job.job_id]
                note(f"{one.name}, job {job.job_id}: {precision_text(tally)}")


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Folder to write; empty or not there yet.")],
    industry: _INDUSTRY = None,
) -> None:
    """Writes accepted and rejected pairs as a folder for [bold]pvm evaluate --fit[/bold].

    Labels on material whose terms forbid learning are never written; they are counted.
    """
    from pvm_evaluation.label_export import export_labels
    from pvm_resources.media.store import MediaStore
    from pvm_resources.settings import load_policies

    with opened() as session:
        slug = session.store.industries.get(industry).slug if industry else None
        policies = load_policies(session.settings)
        judged = session.store.labels(policies).judged(slug)
        done = export_labels(judged, MediaStore(session.settings.media), policies, folder)
    note(f"{counted(done.accepted + done.rejected, 'label')} in {folder}: "
         f"{done.accepted} accepted, {done.rejected} rejected")  # fmt: skip
    for source, count in sorted(done.forbidden.items()):
        note(f"{count} left out: the terms of {source} forbid learning from its material")
    if done.gone:
        note(f"{done.gone} left out: their pictures are no longer kept")


def precision_text(tally: Tally) -> str:
    """The precision of a job, as a sentence."""
    if tally.precision is None or tally.bound is None:
        return f"{counted(tally.accepted, 'accepted match', 'accepted matches')}, none judged"
    return (
        f"{tally.right} of {counted(tally.known, 'judged accepted match', 'judged accepted matches')} right, "
        f"precision {tally.precision:.3f} "
        f"(>= {tally.bound:.3f} with 95 % confidence)"
    )


def _show(found: list[Label]) -> None:
    if not found:
        note("no labels yet; the review page is at /review beside the REST API")
        return
    print_table(
        ("when", "who", "verdict", "product", "video", "score", "status then", "learn"),
        (
            (n.created_at, n.who, n.verdict, n.product, n.video, f"{n.score:.3f}", n.status, n.may_train)
            for n in found
        ),
        whole=("when", "verdict"),
    )
