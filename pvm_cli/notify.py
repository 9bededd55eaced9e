"""`pvm notify`: people who are told of ended jobs and new matches."""

from __future__ import annotations

from typing import Annotated

import typer

from pvm_cli.console import note, out
from pvm_cli.group import command_group
from pvm_cli.session import opened
from pvm_cli.tables import print_table
from pvm_core.errors import InputError, PvmError

app = command_group(
    """Notifications to people, by mail, Slack, Telegram and a hundred services more.

Each ended job is told with its new matches; a scheduled one only where it has
new matches, or failed. The relay sends them, so pvm up must run. An address is
written as apprise reads it (docs/events.md); it holds secrets and is never shown.

  pvm notify add "mailtos://me:password@gmail.com?to=me@gmail.com" --name mail

  pvm notify add "tgram://BOT-TOKEN/CHAT-ID"

  pvm notify test ID
"""
)

_Id = Annotated[str, typer.Argument(help="Its id; the beginning is enough.", show_default=False)]


@app.command()
def add(
    url: Annotated[
        str,
        typer.Argument(
            help="Address as apprise reads it; - reads it from standard input.", show_default=False
        ),
    ],
    events: Annotated[
        list[str] | None,
        typer.Option(
            help="job.completed, job.failed, job.cancelled; repeatable. Default: all.", show_default=False
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Its name; default the service's.", show_default=False)] = "",
) -> None:
    """Adds a receiver of notifications."""
    import sys

    from pvm_jobs.notices import EVENTS
    from pvm_resources.events import notifications

    # A command's arguments are shown to every user of the machine and kept by the shell.
    given = sys.stdin.readline().strip() if url == "-" else url
    with opened(create=True) as session:
        made = notifications.add(session.store.endpoints, given, events=events or EVENTS, name=name)
    out().print(f"id      {made.endpoint_id}")
    note(f"{made.name} is added; try it: pvm notify test {str(made.endpoint_id)[:8]}")


@app.command("list")
def list_all() -> None:
    """Lists receivers of notifications."""
    with opened() as session:
        found = [one for one in session.store.endpoints.list() if one.kind == "notification"]
    if not found:
        note("nobody is notified yet; add an address: pvm notify add URL")
        return
    print_table(
        ("id", "name", "service", "events", "state"),
        (
            (str(one.endpoint_id)[:8], one.name, one.url, ", ".join(one.events),
             "on" if one.enabled else f"off: {one.disabled_reason or 'by hand'}")
            for one in found
        ),
        whole=("id",),
    )  # fmt: skip


@app.command()
def test(receiver: _Id) -> None:
    """Sends a test notification."""
    from datetime import UTC, datetime

    from pvm_jobs.notices import Notice
    from pvm_resources.events.notifications import notify

    with opened() as session:
        found = session.store.endpoints.get(receiver)
    if found.kind != "notification":
        raise InputError("endpoint.kind", receiver, f"it is a {found.kind}", "See pvm notify list")
    notice = Notice("product-video-matching: a test", "Notifications arrive here.")
    answer = notify(found.secrets(datetime.now(UTC))[0], notice)
    if not answer.ok:
        raise PvmError("notify.test", found.name, answer.error, "Correct the address, then test again")
    note("it was sent")


@app.command()
def rm(receiver: _Id) -> None:
    """Removes a receiver."""
    with opened() as session:
        found = session.store.endpoints.get(receiver)
        session.store.endpoints.remove(found.endpoint_id)
    note(f"removed {found.name}")
