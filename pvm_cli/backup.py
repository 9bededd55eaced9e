"""`pvm backup` and `pvm restore`: everything of a home in one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pvm_cli.console import err, note
from pvm_core.errors import InputError
from pvm_core.wording import counted

if TYPE_CHECKING:
    from pvm_resources.settings import Settings


def backup(
    file: Annotated[Path, typer.Argument(help="File to write, e.g. pvm.tar.", show_default=False)],
    media: Annotated[
        bool,
        typer.Option(
            "--media/--no-media", help="With pictures, evidence, uploads and downloads, or rows alone."
        ),
    ] = True,
    secrets: Annotated[
        bool,
        typer.Option(
            "--secrets/--no-secrets", help="With API keys, webhooks and tokens of sources, or without."
        ),
    ] = True,
) -> None:
    """Writes both databases (Dagster's history too), media and calibrations to one file.

    May run while the platform does. Weights, logs and .env are not in it.

    [bold]Example[/bold]

      pvm backup pvm-2026-11.tar
    """
    from pvm_cli.session import opened
    from pvm_resources.backup.backup import back_up

    target = file.expanduser().absolute()
    with opened() as session, err().status("dumping the databases") as status:
        running = [job for job in session.store.jobs.list(limit=1_000) if job.status == "running"]
        saved = back_up(
            session.settings,
            target,
            media=media,
            secrets=secrets,
            progress=lambda count: status.update(f"saved {counted(count, 'file')}"),
        )
    note(
        f"{target}: {saved.size / 1e6:,.1f} MB, both databases and {counted(saved.files, 'file')}, "
        + ("secrets included: keep it as closed as the home" if secrets else "without secrets")
    )
    if running:
        note(
            f"{counted(len(running), 'job was', 'jobs were')} running; after a restore pvm retry resumes them"
        )
    note(f"put it back with pvm restore {file}")


def restore(
    file: Annotated[Path, typer.Argument(help="A file of pvm backup.", show_default=False)],
    force: Annotated[
        bool, typer.Option("--force", help="Replace what the home and the databases hold.")
    ] = False,
) -> None:
    """Puts a backup into an empty home.

    The file is checked whole first. The home gets its content at the end, or stays as it is.
    """
    from pvm_cli.processes import ServiceFolder
    from pvm_cli.services import SERVICES, one_at_a_time
    from pvm_resources.backup import restore as restoring
    from pvm_resources.settings import load_settings

    settings = load_settings()
    source = file.expanduser().absolute()
    with one_at_a_time(settings.home):
        running = [name for name in SERVICES if ServiceFolder(settings.home).find(name) is not None]
        if running:
            raise _running(settings, running)
        with err().status("checking the file") as status:
            manifest = restoring.restore(
                settings,
                source,
                force=force,
                progress=lambda count: status.update(f"restored {counted(count, 'file')}"),
            )
    note(f"restored {settings.home} as it was at {manifest.created_at} (release {manifest.version})")
    if not manifest.secrets:
        note(
            "the backup is without secrets: make keys and webhooks anew (pvm keys create, pvm endpoints add)"
        )
    note("start it with pvm up")


def _running(settings: Settings, names: list[str]) -> InputError:
    reason = f"it is running ({', '.join(names)})"
    return InputError("restore.running", str(settings.home), reason, "Stop it first: pvm down")
