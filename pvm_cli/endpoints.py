"""`pvm endpoints`: webhooks that events are sent to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pvm_cli.console import note, out
from pvm_cli.group import command_group
from pvm_cli.session import opened
from pvm_cli.tables import print_table
from pvm_core.errors import InputError, PvmError

if TYPE_CHECKING:
    from pvm_resources.store.endpoints import Endpoint

app = command_group(
    """Endpoints: webhooks that events are sent to.

A webhook gets a signed POST for each event it subscribes to (Standard Webhooks).
Its secret is shown once, when it is made.

  pvm endpoints add https://example.org/hook --events "*.completed"

  pvm endpoints test ID
"""
)

_Id = Annotated[str, typer.Argument(help="Id of the endpoint; its beginning is enough.", show_default=False)]
_Secret = Annotated[
    str | None,
    typer.Option("--secret", help="whsec_... of your own; default a new one.", show_default=False),
]


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="http(s) address.", show_default=False)],
    events: Annotated[
        list[str] | None,
        typer.Option(
            help="Events it gets; * stands for any characters. Default: *.completed, match.result, "
            "match.verdict, job.failed, job.cancelled.",
            show_default=False,
        ),
    ] = None,
    secret: _Secret = None,
    name: Annotated[str, typer.Option(help="Its name; default its host.", show_default=False)] = "",
) -> None:
    """Adds a webhook and prints its id and, only now, its secret."""
    from pvm_resources.events import signing
    from pvm_resources.http.address_policy import target_of
    from pvm_resources.store.endpoints import DEFAULT_EVENTS

    target_of(url)
    given = secret or signing.new_secret()
    signing.key_of(given)
    with opened(create=True) as session:
        made = session.store.endpoints.add(url, secret=given, events=events or DEFAULT_EVENTS, name=name)
    out().print(f"id      {made.endpoint_id}")
    _show_secret(given)


@app.command("list")
def list_all(
    callbacks: Annotated[bool, typer.Option("--callbacks", help="Also those of single jobs.")] = False,
) -> None:
    """Lists the endpoints."""
    with opened() as session:
        found = session.store.endpoints.list(callbacks=callbacks)
    if not found:
        note("no endpoints yet; add one: pvm endpoints add URL")
        return
    print_table(
        ("id", "kind", "name", "address", "events", "state"),
        ((str(e.endpoint_id)[:8], e.kind, e.name, e.url, ", ".join(e.events), _state(e)) for e in found),
        whole=("id", "kind"),
    )


@app.command()
def rm(endpoint: _Id) -> None:
    """Removes an endpoint with all its deliveries."""
    with opened() as session:
        found = session.store.endpoints.get(endpoint)
        session.store.endpoints.remove(found.endpoint_id)
    note(f"removed {found.name}")


@app.command()
def enable(endpoint: _Id) -> None:
    """Resumes deliveries to it, those that waited included."""
    with opened() as session:
        endpoints = session.store.endpoints
        endpoints.enable(endpoints.get(endpoint).endpoint_id)
    note("enabled")


@app.command()
def disable(endpoint: _Id) -> None:
    """Stops deliveries to it; they wait until it is enabled."""
    with opened() as session:
        endpoints = session.store.endpoints
        endpoints.disable(endpoints.get(endpoint).endpoint_id, "by hand")
    note("disabled")


@app.command()
def rotate(endpoint: _Id, secret: _Secret = None) -> None:
    """Replaces its secret and prints the new one; for 24 hours both sign."""
    from pvm_resources.events import signing

    given = secret or signing.new_secret()
    signing.key_of(given)
    with opened() as session:
        endpoints = session.store.endpoints
        found = _webhook(endpoints.get(endpoint))
        endpoints.rotate(found.endpoint_id, given)
    _show_secret(given)


@app.command()
def test(endpoint: _Id) -> None:
    """Sends it a test event (pvm.test) and prints the answer."""
    import uuid
    from datetime import UTC, datetime

    from pvm_jobs.payloads import Outgoing
    from pvm_resources.events.webhooks import Receiver
    from pvm_resources.events.wiring import webhook_sink

    now = datetime.now(UTC)
    with opened() as session:
        found = _webhook(session.store.endpoints.get(endpoint))
        event = Outgoing(uuid.uuid4(), "test", 0, "pvm.test", {}, now)
        sink = webhook_sink(session.settings)
        (answer,) = sink.send(Receiver(found.kind, found.url, found.secrets(now)), [event])
        sink.close()
    if not answer.ok:
        raise PvmError("endpoint.test", found.url, answer.error, "Correct the receiver, then test again")
    note(f"it answered {answer.status}")


def _state(endpoint: Endpoint) -> str:
    return "on" if endpoint.enabled else f"off: {endpoint.disabled_reason or 'by hand'}"


def _webhook(found: Endpoint) -> Endpoint:
    if found.kind != "webhook":
        raise InputError("endpoint.kind", str(found.endpoint_id), f"it is a {found.kind}", "Name a webhook")
    return found


def _show_secret(secret: str) -> None:
    out().print(f"secret  {secret}", soft_wrap=True)
    note("keep the secret: it is not shown again")
