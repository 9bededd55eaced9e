"""`pvm models`: the models known by name, their licences, weights and calibration."""

from __future__ import annotations

import typer

from pvm_cli.console import out
from pvm_cli.group import PvmGroup

app = typer.Typer(
    cls=PvmGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Models: embedders and segmenters by name.",
)


@app.command("list")
def list_all() -> None:
    """Lists the models known by name."""
    from rich.table import Table

    from pvm_core.embedders.registry import MODELS

    table = Table("name", "kind", "library", "licence", header_style="bold")
    for spec in MODELS.values():
        table.add_row(spec.name, spec.kind, spec.library, spec.licence)
    out().print(table)


@app.command()
def verify() -> None:
    """Checks weights against their hashes."""
