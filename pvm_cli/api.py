"""`pvm api`: the REST API in the foreground, and its description."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pvm_cli.console import note, out
from pvm_cli.group import command_group

app = command_group(
    """Runs the REST API in the foreground, until Ctrl-C.

[bold]pvm up[/bold] starts it in the background, beside the Dagster UI.
PVM_API_HOST and PVM_API_PORT say where it listens.
""",
    no_args_is_help=False,
    invoke_without_command=True,
)


@app.callback()
def api(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default=False)] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to listen on.", show_default=False)
    ] = None,
) -> None:
    """Runs the API."""
    if context.invoked_subcommand is not None:
        return
    from pvm_assets.execution.bootstrap import bootstrap
    from pvm_resources.settings import load_settings

    settings = load_settings()
    platform = bootstrap(settings)
    try:
        from pvm_api.server import serve

        serve(settings, host=host, port=port)
    finally:
        platform.close()


@app.command()
def openapi(
    write: Annotated[
        Path | None, typer.Option("--write", help="File to write instead of printing.", show_default=False)
    ] = None,
) -> None:
    """Prints the API's OpenAPI description; needs no database."""
    text = described()
    if write is None:
        out().print(text, soft_wrap=True, end="")
        return
    write.write_text(text, encoding="utf-8")
    note(f"wrote {write}")


def described() -> str:
    """The OpenAPI description as committed in docs/openapi.json."""
    import json

    from pvm_api.app import create_app
    from pvm_resources.media.store import MediaStore
    from pvm_resources.postgres.driver import Database
    from pvm_resources.settings import Settings

    # Nothing of this machine: no environment, no .env, no connection.
    settings = Settings.model_construct()
    app = create_app(settings, Database("postgresql://localhost/none"), MediaStore("memory://openapi"))
    return json.dumps(app.openapi(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
