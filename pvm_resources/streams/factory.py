"""The stream of changes that the settings choose, and its handler over the catalogue."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pvm_core.errors import InputError, StoreError
from pvm_resources.clients import installed, missing
from pvm_resources.living_catalogue import LivingCatalogue
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings
from pvm_resources.store.stream_progress import StreamProgress
from pvm_resources.streams.base import Handler, Stream
from pvm_resources.streams.postgres import PostgresStream
from pvm_resources.streams.processor import ProductEventProcessor, Progress
from pvm_resources.tracing import Tracing

_LOG = logging.getLogger("pvm.stream")
#: Seconds between two writes of progress.
_WRITE_S: Final = 1.0


def get_event_processor(settings: Settings, database: Database) -> ProductEventProcessor:
    """Publishes to and consumes from the stream that `PRODUCT_STREAM_TYPE` names; not yet connected.

    Args:
        database: of our tables; of the default stream, too.

    Raises:
        InputError: ``settings.invalid``: it needs a setting that is missing.
        StoreError: ``service.client``: its client is not installed.
    """
    return ProductEventProcessor(
        _connector(settings, database),
        consumer=settings.product_stream_consumer,
        batch=settings.product_stream_batch,
        block_ms=settings.product_stream_block_ms,
        observe=Observer(StreamProgress(database), settings.product_stream_type),
    )


def catalogue_handler(catalogue: LivingCatalogue, tracing: Tracing | None = None) -> Handler:
    """Applies changes by the catalogue's rules: per field by version, once in effect.

    Args:
        tracing: gets a span for each batch, in a trace of its own: an entry says nothing of its sender's.
    """
    spans = tracing or Tracing()

    def handle(events: Sequence[Mapping[str, Any]]) -> list[InputError | None]:
        # A founding producer starts its stream with an entry that is no change.
        changes = [one for one in events if one.keys() - {"event_id"} != {"init"}]
        attributes = {"pvm.changes": len(changes)}
        with spans.span("apply product changes", attributes=attributes) as span, span.active():
            errors = iter([outcome.error for outcome in catalogue.take(changes)])
        return [next(errors) if one.keys() - {"event_id"} != {"init"} else None for one in events]

    return handle


class Observer:
    """Writes consumers' progress to the database, at most once a second; what cannot be written waits."""

    def __init__(self, progress: StreamProgress, kind: str) -> None:
        self._progress = progress
        self._kind = kind
        self._lock = threading.Lock()
        self._sum = Progress()
        self._names: set[str] = set()
        self._written = 0.0

    def __call__(self, consumer: str, one: Progress) -> None:
        """Counts a consumer's progress."""
        with self._lock:
            self._names.add(consumer)
            found = self._sum
            self._sum = Progress(
                found.handled + one.handled, found.refused + one.refused, found.failed + one.failed,
                found.batches + one.batches, found.seconds + one.seconds, one.depth or found.depth,
            )  # fmt: skip
            if time.monotonic() - self._written > _WRITE_S:
                self._write(consumer)

    def finish(self) -> None:
        """Writes what is left; the consumers have ended."""
        with self._lock:
            if not self._names:
                return
            self._write(None)
            try:
                self._progress.gone(sorted(self._names))
            except StoreError as error:
                _LOG.warning("consumers were not signed off: %s", error)

    def _write(self, consumer: str | None) -> None:
        found = self._sum
        self._written = time.monotonic()
        try:
            if consumer is not None:
                self._progress.seen(consumer, self._kind)
            self._progress.add(
                self._kind, found.handled, found.refused, found.failed, found.batches, found.seconds
            )
            self._sum = Progress(depth=found.depth)
            if found.depth is not None:
                self._progress.measured(self._kind, found.depth.lag, found.depth.pending, found.depth.dead)
            self._sum = Progress()
        except StoreError as error:
            _LOG.warning("progress was not written: %s", error)


def _connector(settings: Settings, database: Database) -> Callable[[], Stream]:
    kind, key, group = (
        settings.product_stream_type,
        settings.product_stream_key,
        settings.product_stream_group,
    )
    if kind == "postgres":
        return lambda: PostgresStream(database, key)
    if kind == "rabbitmq":
        from pvm_resources.streams.rabbitmq import RabbitStream

        if settings.bus_url is None:
            raise missing("BUS_BROKER", kind)
        address = settings.bus_url.get_secret_value()
        return lambda: RabbitStream(address, key)
    return {"redis": _redis, "nats": _nats, "supabase": _supabase}[kind](settings, key, group)


def _redis(settings: Settings, key: str, group: str) -> Callable[[], Stream]:
    from pvm_resources.streams.redis_streams import RedisStream, connect

    installed("redis", "streams")
    password = settings.redis_password.get_secret_value() if settings.redis_password else None
    return lambda: RedisStream(
        connect(
            settings.redis_host, settings.redis_port, settings.redis_db, password,
            settings.product_stream_block_ms,
        ),
        key, group, partitions=settings.product_stream_partitions,
    )  # fmt: skip


def _nats(settings: Settings, key: str, group: str) -> Callable[[], Stream]:
    from pvm_resources.streams.nats_jetstream import NatsStream

    installed("nats", "streams")
    return lambda: NatsStream(settings.nats_url.get_secret_value(), key, group)


def _supabase(settings: Settings, key: str, group: str) -> Callable[[], Stream]:
    from pvm_resources.streams.supabase import SupabaseStream, connect

    installed("postgrest", "streams")
    if settings.supabase_url is None or settings.supabase_key is None:
        raise missing("SUPABASE_URL and SUPABASE_KEY", "supabase")
    url, secret = settings.supabase_url, settings.supabase_key.get_secret_value()
    return lambda: SupabaseStream(connect(url, secret, "pgmq_public"), key)
