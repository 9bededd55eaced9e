"""`pvm events`: deliveries of events to endpoints, and the relay that makes them."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pvm_cli.console import note, out, shorten
from pvm_cli.group import command_group
from pvm_cli.session import opened
from pvm_cli.tables import print_json, print_table
from pvm_core.errors import InputError
from pvm_core.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pvm_cli.session import Session
    from pvm_resources.events.relay import Relay
    from pvm_resources.postgres.driver import Database
    from pvm_resources.settings import Settings
    from pvm_resources.store.deliveries import Delivery

#: Seconds until the streams of a dead relay are free again; see `pvm_resources.store.deliveries.LEASE_S`.
_LEASE_S: Final = 20.0

app = command_group(
    """Events and their deliveries.

The relay carries events to webhooks, to callbacks of jobs and to the broker
(BUS_BROKER). pvm up starts it; elsewhere run it yourself:

  pvm events relay

  pvm events dead

  pvm events replay --job JOB
"""
)

_Job = Annotated[str | None, typer.Option("--job", help="Of this job only.", show_default=False)]
_Event = Annotated[
    str | None, typer.Option("--event", help="Of this event only, by its id.", show_default=False)
]
_Endpoint = Annotated[
    str | None,
    typer.Option("--endpoint", help="For this endpoint only, by its id.", show_default=False),
]
_Limit = Annotated[int, typer.Option(min=1, max=10_000, help="The most that is shown.")]


@app.command()
def names() -> None:
    """Lists the names of all events."""
    from pvm_jobs.contracts import NAMES

    for name in NAMES:
        out().print(name)


@app.command()
def schema(name: Annotated[str, typer.Argument(help="Name of the event.", show_default=False)]) -> None:
    """Prints the JSON Schema of an event."""
    from pvm_jobs import contracts

    print_json(contracts.load(name))


@app.command("list")
def list_all(
    job: _Job = None,
    event: _Event = None,
    endpoint: _Endpoint = None,
    state: Annotated[str, typer.Option(help="all, open, dead or delivered.")] = "all",
    limit: _Limit = 50,
) -> None:
    """Lists deliveries, the newest first."""
    if state not in ("all", "open", "dead", "delivered"):
        raise InputError("events.state", state, "there is no such state", "Use all, open, dead or delivered")
    _show(state, job, event, endpoint, limit)


@app.command()
def dead(job: _Job = None, endpoint: _Endpoint = None, limit: _Limit = 50) -> None:
    """Lists dead deliveries: those that failed for good."""
    _show("dead", job, None, endpoint, limit)


@app.command()
def replay(
    job: _Job = None,
    event: _Event = None,
    endpoint: _Endpoint = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Delivered ones as well; needs --job, --event or --endpoint.")
    ] = False,
) -> None:
    """Sends dead deliveries again; their attempts count from zero.

    Later events of a job may have been delivered before them.
    """
    if everything and not (job or event or endpoint):
        raise InputError(
            "events.replay", "--all", "it would send everything", "Add --job, --event or --endpoint"
        )
    with opened() as session:
        chosen = _filters(session, job, event, endpoint)
        count = session.store.deliveries.replay(**chosen, everything=everything)
    note(f"{counted(count, 'delivery is', 'deliveries are')} sent again")


@app.command()
def declare(
    queue: Annotated[
        str | None, typer.Option(help="Also a queue for a consumer of yours.", show_default=False)
    ] = None,
    bind: Annotated[
        list[str] | None,
        typer.Option(help="Routing key for that queue; * is one word, # any number.", show_default=False),
    ] = None,
) -> None:
    """Declares exchanges and queues on the broker; existing ones are kept."""
    from pvm_resources.events import broker as bus
    from pvm_resources.settings import load_settings

    if bool(queue) != bool(bind):
        raise InputError("events.queue", "--queue", "it goes with --bind", "Give both")
    with bus.opened(_bus_url(load_settings())) as channel:
        bus.declare(channel)
        if queue and bind:
            bus.declare_queue(channel, queue, bind)
    made = [bus.EXCHANGE, bus.UNROUTED, bus.DEAD, bus.REQUEST_QUEUE, *([queue] if queue else [])]
    note(f"on the broker: {', '.join(made)}")


@app.command()
def relay(
    once: Annotated[bool, typer.Option("--once", help="Deliver what is due now, then end.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Deliveries side by side.")] = 8,
    lease: Annotated[
        float, typer.Option(min=1, max=600, help="Seconds after which a dead relay's work is taken over.")
    ] = _LEASE_S,
) -> None:
    """Delivers events until it is stopped (Ctrl-C or SIGTERM)."""
    import logging

    from pvm_resources import logs
    from pvm_resources.events.wiring import make_relay
    from pvm_resources.postgres.driver import Database

    with opened() as session:
        settings = session.settings
        logs.setup(settings.log_format, settings.log_level)
        # The client raises its failures as errors, which are logged once.
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        # Each worker holds a connection while it claims and writes, and so do the watcher and the inbox; the
        # reader of the default stream has four.
        with Database(session.database.dsn, max_connections=workers + 7) as database:
            one = make_relay(settings, database, workers=workers, lease_s=lease)
            if once:
                note(counted(one.drain(), "attempt"))
            else:
                _serve(one, settings, database)


def _serve(one: Relay, settings: Settings, database: Database) -> None:
    import signal
    import threading

    from pvm_resources.events.broker import Consumer
    from pvm_resources.store.inbox import Inbox

    consumer = Consumer(_bus_url(settings), Inbox(database)) if settings.bus_url is not None else None

    def stop(_number: int, _frame: object) -> None:
        # A handler may interrupt the thread that holds the lock which `stop` needs.
        threading.Thread(target=one.stop).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    listening = threading.Thread(target=consumer.run, name="requests") if consumer else None
    if listening is not None:
        listening.start()
    note("relay started")
    try:
        with _reading(settings, database):
            one.run()
    finally:
        if consumer is not None and listening is not None:
            consumer.stop()
            listening.join()
    note("relay ended")


@contextmanager
def _reading(settings: Settings, database: Database) -> Iterator[None]:
    """A consumer of the default stream at work, so that it needs no process of its own."""
    from pvm_cli.product_streams import consuming

    if settings.product_stream_type != "postgres":
        yield
        return
    with consuming(settings, database):
        yield


def _show(state: str, job: str | None, event: str | None, endpoint: str | None, limit: int) -> None:
    with opened() as session:
        chosen = _filters(session, job, event, endpoint)
        found = session.store.deliveries.listed(state, **chosen, limit=limit)
    if not found:
        note("no such deliveries")
        return
    print_table(
        ("event", "name", "job", "to", "state", "tries", "next", "last"),
        map(_row, found),
        whole=("state", "tries", "next"),
    )


def _row(one: Delivery) -> Sequence[object]:
    following = one.next_attempt_at.strftime("%m-%d %H:%M:%S") if one.next_attempt_at else ""
    last = shorten(one.last_error or str(one.last_status or ""), 80)
    tries = one.attempts + one.conflicts
    to = shorten(one.endpoint, 40)
    return one.event_id, one.name, one.job_id, to, one.state, tries, following, last


def _filters(session: Session, job: str | None, event: str | None, endpoint: str | None) -> dict[str, Any]:
    """The deliveries that the options select, as `Deliveries` takes it."""
    try:
        event_id = None if event is None else uuid.UUID(event)
    except ValueError as error:
        raise InputError("events.id", event or "", "it is no event's id", "See pvm events list") from error
    endpoint_id = None if endpoint is None else session.store.endpoints.get(endpoint).endpoint_id
    return {"job_id": job, "event_id": event_id, "endpoint_id": endpoint_id}


def _bus_url(settings: Settings) -> str:
    if settings.bus_url is None:
        raise InputError(
            "bus.none", "BUS_BROKER", "no broker is set", "Set it to amqp://user:password@host:5672/"
        )
    return settings.bus_url.get_secret_value()
