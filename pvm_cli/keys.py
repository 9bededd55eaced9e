"""`pvm keys`: who may call the REST API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pvm_cli.console import note, out
from pvm_cli.group import PvmGroup

if TYPE_CHECKING:
    from datetime import datetime

app = typer.Typer(
    cls=PvmGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="""API keys: who may call the REST API, and what they may do.

  read    jobs, results, pictures
  run     start, cancel, retry and delete jobs; read
  review  judge matches; read
  admin   industries and rules; everything

  pvm keys create n8n --scope run
""",
)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who uses it, e.g. n8n.", show_default=False)],
    scope: Annotated[
        list[str] | None, typer.Option("--scope", "-s", help="read, run, review or admin; repeatable.")
    ] = None,
) -> None:
    """Makes a key and prints it. It is shown this once."""
    from pvm_cli.session import opened

    with opened(create=True) as session:
        key, token = session.store.keys.create(name, scope or ["read"])
    note(f"key {key.key_id} of {key.name} may: {', '.join(key.scopes)}. It is shown this once:")
    out().print(token, markup=False, soft_wrap=True)


@app.command("list")
def list_all() -> None:
    """Lists all keys, revoked ones too."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from pvm_cli.session import opened

    with opened() as session:
        keys = session.store.keys.list()
    if not keys:
        note("no keys yet; make one: pvm keys create NAME --scope run")
        return
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    for column in ("key", "name", "scopes", "made", "last used", "revoked"):
        table.add_column(column, no_wrap=column in ("key", "made"))
    for key in keys:
        cells = [key.key_id, key.name, " ".join(key.scopes), _day(key.created_at)]
        table.add_row(*map(Text, [*cells, _day(key.last_used_at), _day(key.revoked_at)]))
    out().print(table)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Id of the key, as pvm keys list shows it.", show_default=False)],
) -> None:
    """Ends a key. A running API refuses it within five seconds."""
    from pvm_cli.session import opened

    with opened() as session:
        ended = session.store.keys.revoke(key)
    note(f"key {key} is revoked" if ended else f"key {key} was revoked already")


def _day(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M") if at is not None else "-"
