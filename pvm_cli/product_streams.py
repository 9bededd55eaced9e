"""`pvm products consume|dead|replay`: changes of products from a stream."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pvm_cli.console import note, out
from pvm_cli.tables import AsJson, print_json, print_table
from pvm_core.errors import StoreError
from pvm_core.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pvm_resources.postgres.driver import Database
    from pvm_resources.settings import Settings
    from pvm_resources.streams.processor import ProductEventProcessor

_Limit = Annotated[int, typer.Option(min=1, max=10_000, help="The most of them, oldest first.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to a group."""
    app.command()(consume)
    app.command("dead")(dead)
    app.command("replay")(replay)


def consume(
    consumers: Annotated[int, typer.Option(min=1, max=64, help="Consumers side by side.")] = 1,
) -> None:
    """Applies changes from the stream PRODUCT_STREAM_TYPE names until it is stopped (Ctrl-C or SIGTERM).

    Any number may run, on any number of machines. pvm up starts one; the relay reads the default stream.
    """
    import signal
    import threading

    from pvm_cli.session import opened
    from pvm_resources import logs
    from pvm_resources.postgres.driver import Database

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with opened() as session:
        logs.setup(session.settings.log_format, session.settings.log_level)
        with (
            Database(session.database.dsn, max_connections=2 * consumers + 2) as database,
            consuming(session.settings, database, consumers) as processor,
        ):
            note(f"{counted(consumers, 'consumer')} of {session.settings.product_stream_type} started")
            while not stop.wait(0.5):
                if not processor.healthy:
                    raise StoreError(
                        "stream.consumer",
                        "a consumer",
                        "it has ended by an error",
                        "Look above, then start it again",
                    )
    note("consumers ended")


@contextmanager
def consuming(settings: Settings, database: Database, consumers: int = 1) -> Iterator[ProductEventProcessor]:
    """Consumers at work for the length of the block.

    Args:
        database: of at least twice so many connections and two more.

    Raises:
        InputError, StoreError: as `get_event_processor`; ``stream.stopped``: one did not end in time.
    """
    import logging

    from pvm_resources.living_catalogue import LivingCatalogue
    from pvm_resources.media.store import MediaStore
    from pvm_resources.store.assembly import Store
    from pvm_resources.streams.factory import catalogue_handler, get_event_processor
    from pvm_resources.text_follower import TextFollower
    from pvm_resources.text_index import TextIndex
    from pvm_resources.tracing import Tracing
    from pvm_resources.vectors.factory import forgetting

    # The client raises its failures as errors, which are logged once.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    store = Store.over(database)
    tracing = Tracing.of(settings, "pvm-consumer")
    gone, follower = forgetting(settings, database), TextFollower(TextIndex(store, settings), tracing)
    catalogue = LivingCatalogue(store, MediaStore(settings.media), gone, follower, tracing)
    processor = get_event_processor(settings, database)
    processor.set_event_handler(catalogue_handler(catalogue, tracing))
    try:
        for _ in range(consumers):
            processor.start_consumer()
        yield processor
    finally:
        ended = processor.stop_consumer()
        processor.close()
        follower.close()
        tracing.close()
    if not ended:
        raise StoreError(
            "stream.stopped", "a consumer", "it did not end within 5 s", "What it held is handed out again"
        )


def dead(limit: _Limit = 50, as_json: AsJson = False) -> None:
    """Lists dead letters: changes that were refused for good, with the reason."""
    with _processor() as processor, closing(processor.stream()) as stream:
        found = stream.dead(limit)
    if as_json:
        print_json([{"entry": one.entry_id, "reason": one.reason, "event": one.event} for one in found])
    elif found:
        rows = [
            (one.entry_id, one.event.get("event_type"), one.event.get("product_id"), one.reason)
            for one in found
        ]
        print_table(("entry", "change", "product", "reason"), rows, cut=("reason",), console=out())
    note(counted(len(found), "dead letter"))


def replay(limit: _Limit = 10_000) -> None:
    """Puts dead letters back into the stream; a change keeps its version, so late is not wrong."""
    with _processor() as processor, closing(processor.stream()) as stream:
        count = stream.replay(limit)
    note(f"{counted(count, 'dead letter is', 'dead letters are')} back in the stream")


@contextmanager
def _processor() -> Iterator[ProductEventProcessor]:
    from pvm_cli.session import opened
    from pvm_resources.streams.factory import get_event_processor

    with opened() as session:
        yield get_event_processor(session.settings, session.database)
