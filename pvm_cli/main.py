"""The `pvm` command: a Typer app whose commands import what they need when they run."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Annotated

import typer
from typer.main import get_command

from pvm_cli import (
    api,
    attention,
    backup,
    calibrate,
    demo,
    endpoints,
    evaluate,
    events,
    exits,
    industries,
    keys,
    labels,
    models,
    notify,
    products,
    purge,
    report,
    results,
    rules,
    run,
    search,
    services,
    sources,
    status,
)
from pvm_cli.doctor import command as doctor
from pvm_cli.group import PvmGroup
from pvm_core.printable import printable
from pvm_resources.private import keep_private
from pvm_resources.signals import restore_handlers

_ABOUT = """Finds which products of a catalogue appear in which videos, and proves each match
with a score, the second at which it is seen and a picture.

[bold]A first run[/bold]

  pvm run --industry "gối công thái học" \\
      --products catalogue.csv --videos clips/

  pvm results --industry "gối công thái học" --min-score 0.8 --format csv

Everything is kept in PVM_HOME (default: this project's folder data).
Settings come from the environment and the file .env; see .env.example.
"""

app = typer.Typer(
    name="pvm",
    cls=PvmGroup,
    help=_ABOUT,
    epilog=exits.help_text(),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"pvm {version('product-video-matching')}")
        raise typer.Exit


@app.callback()
def _root(
    home: Annotated[
        Path | None, typer.Option(help="Folder of database, media and models; overrides PVM_HOME.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    # The setting travels through the environment because Dagster's own processes read it there too.
    if home is not None:
        os.environ["PVM_HOME"] = str(home)


_WORK = "Jobs"
_SERVICE = "Services"
_TUNE = "Industries, rules, models"

app.command("run", rich_help_panel=_WORK, epilog=exits.help_text())(run.run)
app.command("results", rich_help_panel=_WORK)(results.results)
app.command("search", rich_help_panel=_WORK)(search.search)
app.command("attention", rich_help_panel=_WORK)(attention.attention)
app.add_typer(products.app, name="products", rich_help_panel=_WORK)
app.command("report", rich_help_panel=_WORK)(report.report)
app.command("retry", rich_help_panel=_WORK, epilog=exits.help_text())(run.retry)
app.command("demo", rich_help_panel=_WORK)(demo.demo)
app.command("up", rich_help_panel=_SERVICE)(services.up)
app.command("down", rich_help_panel=_SERVICE)(services.down)
app.command("status", rich_help_panel=_SERVICE)(status.status)
app.add_typer(api.app, name="api", rich_help_panel=_SERVICE)
app.add_typer(keys.app, name="keys", rich_help_panel=_SERVICE)
app.add_typer(events.app, name="events", rich_help_panel=_SERVICE)
app.add_typer(endpoints.app, name="endpoints", rich_help_panel=_SERVICE)
app.add_typer(notify.app, name="notify", rich_help_panel=_SERVICE)
app.command("purge", rich_help_panel=_SERVICE)(purge.purge)
app.command("backup", rich_help_panel=_SERVICE)(backup.backup)
app.command("restore", rich_help_panel=_SERVICE)(backup.restore)
app.command("doctor", rich_help_panel=_SERVICE)(doctor.doctor)
app.command("sources", rich_help_panel=_TUNE)(sources.sources)
app.add_typer(industries.app, name="industries", rich_help_panel=_TUNE)
app.add_typer(rules.app, name="rules", rich_help_panel=_TUNE)
app.add_typer(models.app, name="models", rich_help_panel=_TUNE)
app.add_typer(labels.app, name="labels", rich_help_panel=_TUNE)
app.command("calibrate", rich_help_panel=_TUNE)(calibrate.calibrate)
app.command("evaluate", rich_help_panel=_TUNE)(evaluate.evaluate)


def main() -> None:
    """The command `pvm`."""
    restore_handlers()
    keep_private()
    sys.excepthook = _print_traceback
    # Not `app()`, which would put Typer's own hook in its place.
    get_command(app)()


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    import traceback

    sys.stderr.write(printable("".join(traceback.format_exception(kind, error, trace))))


if __name__ == "__main__":
    main()
