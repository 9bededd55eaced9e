"""`pvm labels`: what people say of matches, listed and as a folder to learn from."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pvm_cli.console import note, out
from pvm_cli.group import PvmGroup

if TYPE_CHECKING:
    from pvm_resources.store.labels import Label, Tally

app = typer.Typer(
    cls=PvmGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="""What people say of matches on the review page or over the API.

  pvm labels list -i "gối công thái học"

  pvm labels export my-labels -i "gối công thái học"

  pvm evaluate my-labels --fit calibration.json
""",
)


class Format(StrEnum):
    """How labels are written."""

    TABLE = "table"
    JSON = "json"


_INDUSTRY = Annotated[
    str | None, typer.Option("--industry", "-i", help="Name or slug; default all.", show_default=False)
]


@app.command("list")
def list_all(
    industry: _INDUSTRY = None,
    history: Annotated[
        bool, typer.Option("--history", help="Verdicts that count no more as well, and undoings.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most labels listed.")] = 1_000,
    form: Annotated[
        Format, typer.Option("--format", "-f", help="How to write them.", case_sensitive=False)
    ] = Format.TABLE,
) -> None:
    """Lists labels, newest first, and the precision they speak of."""
    from pvm_cli.session import opened
    from pvm_resources.settings import load_policies

    with opened() as session:
        slug = session.store.industries.get(industry).slug if industry else None
        labels = session.store.labels(load_policies(session.settings))
        found = labels.list(limit, industry=slug, history=history)
        if form is Format.JSON:
            _write_json(found)
            return
        _show(found)
        for one in session.store.industries.list():
            job = session.store.jobs.latest(one.slug)
            if job is not None and slug in (None, one.slug):
                note(f"{one.name}, job {job.job_id}: {told(labels.tallies([job.job_id])[job.job_id])}")


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Folder to write; empty or not there yet.")],
    industry: _INDUSTRY = None,
) -> None:
    """Writes accepted and rejected pairs as a folder for [bold]pvm evaluate --fit[/bold].

    Labels on material whose terms forbid learning are never written; they are counted.
    """
    from pvm_cli.session import opened
    from pvm_evaluation.label_export import export_labels
    from pvm_resources.media.store import MediaStore
    from pvm_resources.settings import load_policies

    with opened() as session:
        slug = session.store.industries.get(industry).slug if industry else None
        policies = load_policies(session.settings)
        judged = session.store.labels(policies).judged(slug)
        done = export_labels(judged, MediaStore(session.settings.media), policies, folder)
    note(f"{done.accepted + done.rejected} labels in {folder}: "
         f"{done.accepted} accepted, {done.rejected} rejected")  # fmt: skip
    for source, count in sorted(done.forbidden.items()):
        note(f"{count} left out: the terms of {source} forbid learning from its material")
    if done.gone:
        note(f"{done.gone} left out: their pictures are no longer kept")


def told(tally: Tally) -> str:
    """The precision of a job in words."""
    if tally.precision is None or tally.bound is None:
        return f"none of its {tally.accepted} accepted matches is judged"
    return (
        f"{tally.right} of {tally.known} judged accepted matches are right, precision {tally.precision:.3f} "
        f"(>= {tally.bound:.3f} with 95 % confidence)"
    )


def _write_json(found: list[Label]) -> None:
    import json
    from dataclasses import asdict

    rows = [{name: _plain(value) for name, value in asdict(label).items()} for label in found]
    json.dump(rows, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _show(found: list[Label]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    if not found:
        note("no labels yet; the review page is at /review beside the REST API")
        return
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    for column in ("when", "who", "verdict", "product", "video", "score", "status then", "learn"):
        table.add_column(column, no_wrap=column in ("when", "verdict"))
    for label in found:
        when = label.created_at.strftime("%Y-%m-%d %H:%M")
        cells = [when, label.who, label.verdict, label.product, label.video, f"{label.score:.3f}"]
        table.add_row(*map(Text, [*cells, label.status, "yes" if label.may_train else "no"]))
    out().print(table)
