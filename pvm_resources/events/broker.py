"""RabbitMQ: every event to the topic exchange `events`, requests from it into the inbox.

Topology (`declare`), all of it durable:

- exchange ``events`` (topic): routing key = event name;
- exchange ``events.unrouted`` (fanout) with the quorum queue ``events.unrouted``: events that no queue was
  bound for, the newest 100,000 of them;
- queue ``pvm.requests`` (quorum, delivery limit): the three request topics;
- exchange ``events.dead`` (topic) with the quorum queue ``events.dead``: dead letters, that is requests that
  cannot be read and what other queues made by `declare_queue` gave up.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_chain,
    wait_fixed,
)

from pvm_core.errors import InputError, StoreError
from pvm_jobs import bus_request
from pvm_jobs.delivery_policy import DeliveryAnswer
from pvm_jobs.events import REQUESTS
from pvm_jobs.payloads import Outgoing, delivered, encode
from pvm_resources.events.publisher import Message, Publisher, refused, unreachable, why
from pvm_resources.events.webhooks import Receiver

if TYPE_CHECKING:
    from pika import BasicProperties, BlockingConnection, URLParameters
    from pika.adapters.blocking_connection import BlockingChannel
    from pika.spec import Basic

_LOG = logging.getLogger("pvm.delivery")

EXCHANGE: Final = "events"
UNROUTED: Final = "events.unrouted"
DEAD: Final = "events.dead"
REQUEST_QUEUE: Final = "pvm.requests"
#: Deliveries of one message before it is dead; founding document 1, section 9: three tries.
DELIVERY_LIMIT: Final = 3
_UNROUTED_MAX: Final = 100_000
_HEARTBEAT_S: Final = 30
_BLOCKED_S: Final = 30.0
_PAUSES_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)


class Inbox(Protocol):
    """Where requests go."""

    def accept(self, event_id: uuid.UUID, topic: str, payload: Mapping[str, Any], source: str) -> bool:
        """Stores a request; False where that event is known already."""


def connect(url: str) -> BlockingConnection:
    """A connection to the broker.

    Raises:
        StoreError: ``bus.url``, ``bus.denied``, ``bus.unreachable``.
    """
    import pika

    with faults():
        return pika.BlockingConnection(parameters_of(url))


def parameters_of(url: str) -> URLParameters:
    """The broker's address for pika.

    Raises:
        StoreError: ``bus.url``; the message does not hold the address, which has a password in it.
    """
    import pika

    try:
        if not url.startswith(("amqp://", "amqps://")):
            raise ValueError(url)
        found = pika.URLParameters(url)
    except (ValueError, TypeError, IndexError):
        raise StoreError(
            "bus.url", "BUS_BROKER", "it is no AMQP address", "Write amqp://user:password@host:5672/"
        ) from None
    found.heartbeat = _HEARTBEAT_S
    found.blocked_connection_timeout = _BLOCKED_S
    found.socket_timeout = found.stack_timeout = 10.0
    return found


def declare(channel: BlockingChannel) -> None:
    """Declares the topology; what exists already stays.

    Raises:
        StoreError: ``bus.topology``: something of that name is there in another form.
    """
    with faults():
        channel.exchange_declare(EXCHANGE, "topic", durable=True)
        channel.exchange_declare(UNROUTED, "fanout", durable=True)
        channel.exchange_declare(DEAD, "topic", durable=True)
        limit = {"x-max-length": _UNROUTED_MAX, "x-overflow": "drop-head"}
        _quorum(channel, UNROUTED, limit)
        channel.queue_bind(UNROUTED, UNROUTED)
        _quorum(channel, DEAD, {})
        channel.queue_bind(DEAD, DEAD, "#")
    declare_queue(channel, REQUEST_QUEUE, REQUESTS)


def declare_queue(channel: BlockingChannel, name: str, patterns: Sequence[str]) -> None:
    """A quorum queue for a consumer: `DELIVERY_LIMIT` deliveries a message, then to the exchange `DEAD`.

    Args:
        patterns: of routing keys, as topic exchanges read them: ``*`` one word, ``#`` any number.

    Raises:
        StoreError: ``bus.topology``.
    """
    with faults():
        _quorum(channel, name, {"x-delivery-limit": DELIVERY_LIMIT, "x-dead-letter-exchange": DEAD})
        for pattern in patterns:
            channel.queue_bind(name, EXCHANGE, pattern)


def _quorum(channel: BlockingChannel, name: str, arguments: Mapping[str, Any]) -> None:
    channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum", **arguments})


class BusSink:
    """Publishes events, of one job each confirmed by the broker before the next.

    Args:
        url: of the broker.
    """

    batch = 50
    parallel = 4

    def __init__(self, url: str) -> None:
        self._url = url
        self._publisher: Publisher | None = None
        self._lock = threading.Lock()

    def send(self, receiver: Receiver, events: Sequence[Outgoing]) -> list[DeliveryAnswer]:
        """Publishes `events` in order, up to the first that the broker does not take."""
        answers: list[DeliveryAnswer] = []
        try:
            publisher = self._declared()
            for event in events:
                _publish(publisher, event)
                answers.append(DeliveryAnswer(200))
        except StoreError as error:
            answers.append(DeliveryAnswer(None, f"{error.reason} [{error.code}]"))
        return answers

    def close(self) -> None:
        """Ends the connection; what has no confirm yet fails."""
        if self._publisher is not None:
            self._publisher.close()

    def _declared(self) -> Publisher:
        with self._lock:
            if self._publisher is None:
                self._publisher = Publisher(parameters_of(self._url))
            if not self._publisher.live:
                with opened(self._url) as channel:
                    declare(channel)
            return self._publisher


def _publish(publisher: Publisher, event: Outgoing) -> None:
    import pika

    properties = pika.BasicProperties(
        content_type="application/json",
        delivery_mode=2,
        message_id=str(event.event_id),
        type=event.name,
        timestamp=int(event.created_at.timestamp()),
        app_id="pvm",
        headers={"job_id": event.job_id, "seq": event.seq},
    )
    body = encode(delivered(event))
    if not publisher.publish(Message(EXCHANGE, event.name, body, properties)):
        # An alternate exchange would do the same, were `events` always ours to declare.
        publisher.publish(Message(UNROUTED, event.name, body, properties))


class Consumer:
    """Takes requests from the bus into the inbox: one is acknowledged once its row is committed.

    Args:
        url: of the broker.
        inbox: where requests go.
    """

    def __init__(self, url: str, inbox: Inbox) -> None:
        self._url = url
        self._inbox = inbox
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ends `run` within a second."""
        self._stop.set()

    def run(self) -> None:
        """Consumes until `stop`; waits for a broker that is away."""
        retrying = Retrying(
            retry=retry_if_exception_type(StoreError),
            wait=wait_chain(*map(wait_fixed, _PAUSES_S)),
            stop=stop_when_event_set(self._stop),
            sleep=sleep_using_event(self._stop),
            before_sleep=_log_pause,
            retry_error_callback=lambda _: None,
        )
        while not self._stop.is_set():
            retrying(self._consume)

    def _consume(self) -> None:
        with opened(self._url) as channel:
            declare(channel)
            with faults():
                channel.basic_qos(prefetch_count=20)
                # Ends by itself every second, so that `stop` takes effect and heartbeats are answered.
                for method, properties, body in channel.consume(REQUEST_QUEUE, inactivity_timeout=1.0):
                    if self._stop.is_set():
                        return
                    if method is not None and properties is not None and body is not None:
                        self._take(channel, method, properties, body)

    def _take(
        self,
        channel: BlockingChannel,
        method: Basic.GetOk | Basic.Deliver,
        properties: BasicProperties,
        body: bytes,
    ) -> None:
        tag = int(method.delivery_tag or 0)
        try:
            request = read_message(str(method.routing_key), properties.message_id, body)
            stored = self._stored(channel, request)
        except (InputError, StoreError) as error:
            # Reading it again would fail again: it goes to the dead letters.
            _LOG.warning("a request of the bus cannot be taken: %s", error)
            channel.basic_nack(tag, requeue=False)
        else:
            if stored:
                channel.basic_ack(tag)

    def _stored(self, channel: BlockingChannel, request: bus_request.BusRequest) -> bool:
        """Whether the request is in the inbox; waits for a database that is away.

        Requeueing it instead would count as a delivery.

        Raises:
            StoreError: ``store.text``: it holds what no database can.
        """
        while not self._stop.is_set():
            try:
                self._inbox.accept(request.event_id, request.topic, request.payload, "bus")
            except StoreError as error:
                if error.code == "store.text":
                    raise
                _LOG.warning("a request of the bus waits for the database: %s", error)
                channel.connection.sleep(1.0)
            else:
                return True
        return False


def _log_pause(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _LOG.warning("the consumer connects again in %g s: %s", state.upcoming_sleep, error)


def read_message(topic: str, message_id: str | None, body: bytes) -> bus_request.BusRequest:
    """A message as a request.

    Raises:
        InputError: ``request.json``, ``contract.*``, ``request.*``.
    """
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError("request.json", topic[:200], "it is no JSON", "Send a JSON object") from error
    return bus_request.read(topic, payload, message_id)


@contextlib.contextmanager
def opened(url: str) -> Iterator[BlockingChannel]:
    """A channel of its own connection, for the length of the block.

    Raises:
        StoreError: ``bus.*``.
    """
    connection = connect(url)
    try:
        with faults():
            channel = connection.channel()
        yield channel
    finally:
        with contextlib.suppress(StoreError), faults():
            connection.close()


@contextlib.contextmanager
def faults() -> Iterator[None]:
    """Raises StoreError for pika's errors; no message holds the broker's password."""
    from pika import exceptions as pika_errors

    try:
        yield
    except (pika_errors.ProbableAuthenticationError, pika_errors.ProbableAccessDeniedError) as error:
        raise StoreError("bus.denied", "the broker", "it refused the login", "Correct BUS_BROKER") from error
    except pika_errors.ChannelClosedByBroker as error:
        raise StoreError(
            "bus.topology", "the broker", error.reply_text, "Remove what is in the way, then run again"
        ) from error
    except (pika_errors.NackError, pika_errors.UnroutableError) as error:
        raise refused() from error
    except (pika_errors.AMQPError, OSError) as error:
        raise unreachable(why(error)) from error
