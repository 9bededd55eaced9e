"""The stream in RabbitMQ: a quorum queue of the stream's name, and beside it one for dead letters."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_fixed

from pvm_core.errors import StoreError
from pvm_resources.events import broker as bus
from pvm_resources.events.publisher import Message, Publisher
from pvm_resources.streams.base import CLAIM_S, KEY, DeadLetter, Depth, Entry, decode, encode, unreachable

if TYPE_CHECKING:
    from pika import BlockingConnection
    from pika.adapters.blocking_connection import BlockingChannel

_WHERE: Final = "RabbitMQ"
#: Deliveries after which the broker itself takes a message for dead; a consumer gives it up long before.
_LIMIT: Final = 200
#: Listing dead letters counts as a delivery of each.
_LISTED: Final = 1_000_000
#: Header of a message that was postponed: how often it had been handed out.
_DELIVERED: Final = "x-pvm-delivered"

#: A quorum queue that is new, or whose leader went, takes nothing for a moment. Seconds between two
#: tries of a message that was not taken, and their number; what was not confirmed may be sent again.
_MOMENT_S: Final = 0.3
_TRIES: Final = 5


class RabbitStream:
    """See `Stream`. A message that is sent again after a failure comes later than those sent meanwhile.

    Args:
        url: of the broker.
        key: the queue's name; ``:dead`` is added for dead letters.
        claim_s: seconds until what was postponed comes again.
    """

    def __init__(self, url: str, key: str = KEY, claim_s: float = CLAIM_S) -> None:
        self._url = url
        self._key = key
        self._dead, self._later = f"{key}:dead", f"{key}:later"
        self._claim_s = claim_s
        self._publisher: Publisher | None = None
        self._connection: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None

    def publish(self, event: Mapping[str, str]) -> str:
        """See `Stream`. The entry id is the event's, which the message carries."""
        return self._send(self._key, encode(event), event.get("event_id", ""))

    def read(self, consumer: str, count: int, block_ms: int) -> list[Entry]:
        """See `Stream`. RabbitMQ itself hands out again what a lost connection held."""
        with _told():
            channel = self._opened(count)
            found: list[Entry] = []
            waits = block_ms / 1_000
            for method, properties, body in channel.consume(self._key, inactivity_timeout=waits):
                if method is None:
                    break
                found.append(_entry(method, properties, body))
                if len(found) == count or not channel.get_waiting_message_count():
                    break
            return found

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        """See `Stream`."""
        with _told():
            for one in entries:
                # What another connection was given, the broker hands out again.
                if self._channel is not None:
                    self._channel.basic_ack(one.handle)

    def postpone(self, entries: Sequence[Entry]) -> None:
        """See `Stream`: they wait in a queue of their own, which gives them back when their time is over."""
        for one in entries:
            self._send(
                self._later, encode(one.event), one.entry_id, {_DELIVERED: one.deliveries},
                str(round(1_000 * self._claim_s)),
            )  # fmt: skip
            self.acknowledge([one])

    def bury(self, entry: Entry, reason: str) -> None:
        """See `Stream`."""
        letter = {"event": encode(entry.event), "reason": reason, "entry_id": entry.entry_id}
        self._send(self._dead, encode(letter), entry.entry_id)
        self.acknowledge([entry])

    def dead(self, limit: int) -> list[DeadLetter]:
        """See `Stream`."""
        with _told():
            connection = bus.connect(self._url)
            try:
                # What is read and not acknowledged goes back to its place when the connection ends.
                return [letter for _, letter in self._letters(self._declared(connection), limit)]
            finally:
                connection.close()

    def replay(self, limit: int) -> int:
        """See `Stream`."""
        done = 0
        with _told():
            connection = bus.connect(self._url)
            try:
                channel = self._declared(connection)
                for tag, letter in self._letters(channel, limit):
                    self._send(self._key, encode(dict(letter.event)), letter.entry_id)
                    channel.basic_ack(tag)
                    done += 1
            finally:
                connection.close()
        return done

    def depth(self) -> Depth:
        """See `Stream`: the broker does not tell how many are held."""
        with _told():
            connection = bus.connect(self._url)
            try:
                channel = self._declared(connection)
                waiting = channel.queue_declare(self._key, passive=True).method.message_count
                dead = channel.queue_declare(self._dead, passive=True).method.message_count
            finally:
                connection.close()
        return Depth(waiting, None, dead)

    def close(self) -> None:
        """See `Stream`."""
        if self._publisher is not None:
            self._publisher.close()
            self._publisher = None
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None and connection.is_open:
            with contextlib.suppress(StoreError), bus.faults():
                connection.close()

    def _send(
        self,
        queue: str,
        body: str,
        message_id: str,
        headers: Mapping[str, Any] | None = None,
        expiration: str | None = None,
    ) -> str:
        import pika

        properties = pika.BasicProperties(
            content_type="application/json", delivery_mode=2, message_id=message_id,
            headers=dict(headers or {}), expiration=expiration,
        )  # fmt: skip
        with _told():
            if self._publisher is None:
                connection = bus.connect(self._url)
                try:
                    self._declared(connection)
                finally:
                    connection.close()
                self._publisher = Publisher(bus.parameters_of(self._url))
            message = Message("", queue, body.encode(), properties)
            if not _patient(self._publisher.publish, message):
                self._publisher.close()
                self._publisher = None
                raise unreachable(_WHERE, LookupError(f"there is no queue {queue}"))
        return message_id

    def _opened(self, count: int) -> BlockingChannel:
        if self._channel is None or self._connection is None:
            self._connection = bus.connect(self._url)
            self._channel = self._declared(self._connection)
            self._channel.basic_qos(prefetch_count=max(count, 1))
        return self._channel

    def _declared(self, connection: BlockingConnection) -> BlockingChannel:
        channel = connection.channel()
        letters = {"x-queue-type": "quorum", "x-delivery-limit": _LISTED}
        channel.queue_declare(self._dead, durable=True, arguments=letters)
        back = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": self._key}
        channel.queue_declare(self._later, durable=True, arguments={"x-queue-type": "quorum", **back})
        channel.queue_declare(
            self._key,
            durable=True,
            arguments={
                "x-queue-type": "quorum", "x-delivery-limit": _LIMIT, "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": self._dead, "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        )  # fmt: skip
        return channel

    def _letters(self, channel: BlockingChannel, limit: int) -> list[tuple[int, DeadLetter]]:
        found: list[tuple[int, DeadLetter]] = []
        while len(found) < limit:
            method, properties, body = channel.basic_get(self._dead)
            if method is None or body is None:
                break
            letter = decode(body)
            if "reason" not in letter:
                # The broker put the message itself here.
                about = {
                    "entry_id": getattr(properties, "message_id", ""),
                    "event": body.decode("utf-8", "replace"),
                }
                letter = {**about, "reason": f"it was handed out {_LIMIT} times"}
            event = decode(letter["event"])
            tag = int(method.delivery_tag or 0)
            found.append((tag, DeadLetter(str(letter["entry_id"]), event, str(letter["reason"]))))
        return found


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Tells a broker that does not answer as any stream that does not."""
    try:
        with bus.faults():
            yield
    except StoreError as error:
        if error.code in ("bus.unreachable", "bus.refused"):
            raise unreachable(_WHERE, error) from error
        raise


def _entry(method: Any, properties: Any, body: bytes) -> Entry:
    headers = properties.headers or {}
    name = properties.message_id or str(method.delivery_tag)
    before = int(headers.get("x-delivery-count", 0)) + int(headers.get(_DELIVERED, 0))
    # Its place in the queue is not told: its id stands for it, or else its content.
    return Entry(name, properties.message_id or "", decode(body), before + 1, int(method.delivery_tag))


def _patient(publish: Callable[[Message], bool], message: Message) -> bool:
    tries = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, StoreError) and error.code == "bus.refused"),
        stop=stop_after_attempt(_TRIES), wait=wait_fixed(_MOMENT_S), reraise=True,
    )  # fmt: skip
    return tries(publish, message)
