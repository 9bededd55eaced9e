"""`pvm keys`: keys of the REST API."""

from __future__ import annotations

from typing import Annotated

import typer

from pvm_cli.console import note, out
from pvm_cli.group import command_group
from pvm_cli.session import opened
from pvm_cli.tables import print_table

app = command_group(
    """API keys: callers of the REST API and their scopes.

  read    jobs, results, pictures
  run     start, cancel, retry and delete jobs; read
  review  judge matches; read
  admin   industries and rules; everything

  pvm keys create n8n --scope run
"""
)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Its user, e.g. n8n.", show_default=False)],
    scope: Annotated[
        list[str] | None, typer.Option("--scope", "-s", help="read, run, review or admin; repeatable.")
    ] = None,
) -> None:
    """Creates a key and prints it. It cannot be shown again."""
    with opened(create=True) as session:
        key, token = session.store.keys.create(name, scope or ["read"])
    note(f"key {key.key_id} of {key.name} may: {', '.join(key.scopes)}. It is shown only now:")
    out().print(token, soft_wrap=True)


@app.command("list")
def list_all() -> None:
    """Lists all keys, revoked ones too."""
    with opened() as session:
        keys = session.store.keys.list()
    if not keys:
        note("no keys yet; make one: pvm keys create NAME --scope run")
        return
    print_table(
        ("key", "name", "scopes", "made", "last used", "revoked"),
        (
            (k.key_id, k.name, " ".join(k.scopes), k.created_at, k.last_used_at or "-", k.revoked_at or "-")
            for k in keys
        ),
        whole=("key", "made"),
    )


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Id of the key, as pvm keys list shows it.", show_default=False)],
) -> None:
    """Revokes a key. A running API refuses it within five seconds."""
    with opened() as session:
        ended = session.store.keys.revoke(key)
    note(f"key {key} is revoked" if ended else f"key {key} was revoked already")
