"""One connection to RabbitMQ that publishes for several threads, each message confirmed or timed out.

pika's blocking connection waits for a confirm without a limit, and a quorum queue that finds its leader again
after a crash may never send one. So the connection lives in a thread of its own, on pika's event loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pvm_core.errors import StoreError

if TYPE_CHECKING:
    from pika import BasicProperties, URLParameters
    from pika.channel import Channel
    from pika.connection import Connection

#: Seconds for a connection to open, and for a message to be confirmed.
OPEN_S: Final = 15.0
CONFIRM_S: Final = 15.0
#: Seconds the broker has to close the connection.
_CLOSE_S: Final = 2.0


@dataclass(frozen=True)
class Message:
    """A message to be published; `properties.message_id` is its identity."""

    exchange: str
    key: str
    body: bytes
    properties: BasicProperties


class Publisher:
    """Publishes; opens its connection when it is first used, and again after each failure.

    Args:
        parameters: of the broker.
        confirm_s: seconds the broker has to confirm a message.
    """

    def __init__(self, parameters: URLParameters, confirm_s: float = CONFIRM_S) -> None:
        self._parameters = parameters
        self._confirm_s = confirm_s
        self._lock = threading.Lock()
        self._connection: _Connection | None = None

    @property
    def live(self) -> bool:
        """True while the connection is up."""
        return self._connection is not None and self._connection.live

    def publish(self, message: Message) -> bool:
        """Waits until the broker has confirmed the message; False where no queue is bound for it.

        Raises:
            StoreError: ``bus.unreachable``, ``bus.refused``: it may have arrived all the same.
        """
        connection = self._opened()
        try:
            return connection.publish(message).result(self._confirm_s)
        except TimeoutError as error:
            connection.close()
            raise unreachable(f"no confirm within {self._confirm_s:g} s") from error

    def close(self) -> None:
        """Ends the connection; messages without a confirm fail."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _opened(self) -> _Connection:
        with self._lock:
            if self._connection is None or not self._connection.live:
                self._connection = _Connection(self._parameters)
            connection = self._connection
        try:
            connection.ready.result(OPEN_S)
        except TimeoutError as error:
            connection.close()
            raise unreachable(f"no connection within {OPEN_S:g} s") from error
        return connection


class _Connection:
    """One connection, from its start to its end; its callbacks run in its own thread."""

    def __init__(self, parameters: URLParameters) -> None:
        import pika

        self.ready: Future[None] = Future()
        self.live = True
        self._sent = 0
        self._waiting: dict[int, tuple[str, Future[bool]]] = {}
        self._returned: set[str] = set()
        self._channel: Channel | None = None
        self._connection = pika.SelectConnection(
            parameters,
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_lost,
            on_close_callback=self._on_lost,
        )
        self._gate = threading.Lock()
        self._over = False
        threading.Thread(target=self._run, name="bus", daemon=True).start()

    def publish(self, message: Message) -> Future[bool]:
        """The result: True once confirmed, False where it came back for want of a queue."""
        answer: Future[bool] = Future()
        self._call(partial(self._send, message, answer))
        if not self.live:
            _settle(answer, error=unreachable("the connection is closed"))
        return answer

    def close(self) -> None:
        """Ends the connection, whatever state it is in."""
        self._call(partial(self._end, "the connection was closed"))

    def _call(self, step: Callable[[], None]) -> None:
        with self._gate:
            if not self._over:
                self._connection.ioloop.add_callback_threadsafe(step)

    # -- in the connection's thread ----------------------------------------------------------------

    def _run(self) -> None:
        self._connection.ioloop.start()
        with self._gate:
            self._over = True
            # Releases its file descriptors: a broker that is away for days costs thousands of connections.
            self._connection.ioloop.close()

    def _on_open(self, connection: Connection) -> None:
        connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._on_lost)
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirm, callback=lambda _frame: _settle(self.ready, None))
        self._channel = channel

    def _send(self, message: Message, answer: Future[bool]) -> None:
        if self._channel is None or not self._channel.is_open:
            _settle(answer, error=unreachable("the connection is closed"))
            return
        self._channel.basic_publish(
            message.exchange, message.key, message.body, message.properties, mandatory=True
        )
        self._sent += 1
        self._waiting[self._sent] = (str(message.properties.message_id), answer)

    def _on_return(self, _channel: Channel, _method: Any, properties: BasicProperties, _body: bytes) -> None:
        # The broker sends it before the confirm of the same message.
        self._returned.add(str(properties.message_id))

    def _on_confirm(self, frame: Any) -> None:
        tag, taken = frame.method.delivery_tag, frame.method.NAME == "Basic.Ack"
        for one in sorted(t for t in self._waiting if t == tag or (frame.method.multiple and t <= tag)):
            message_id, answer = self._waiting.pop(one)
            routed = message_id not in self._returned
            self._returned.discard(message_id)
            if taken:
                _settle(answer, routed)
            else:
                _settle(answer, error=refused())

    def _on_lost(self, _where: object, reason: BaseException | str) -> None:
        self._end(reason if isinstance(reason, str) else why(reason))

    def _end(self, reason: str) -> None:
        self.live = False
        _settle(self.ready, error=unreachable(reason))
        for _, answer in self._waiting.values():
            _settle(answer, error=unreachable(reason))
        self._waiting.clear()
        if self._connection.is_closed:
            self._connection.ioloop.stop()
        elif not self._connection.is_closing:
            self._connection.ioloop.call_later(_CLOSE_S, self._connection.ioloop.stop)
            # Once it is closed we are called again.
            self._connection.close()


def why(error: BaseException) -> str:
    """What went wrong, in words: pika wraps the cause of a connection that does not open, twice."""
    wrapped = (*getattr(error, "exceptions", ()), getattr(error, "exception", None), *error.args)
    within = [one for one in wrapped if isinstance(one, BaseException)]
    return why(within[-1]) if within else str(error) or type(error).__name__


def _settle(answer: Future[Any], value: Any = None, error: StoreError | None = None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(value)
    else:
        answer.set_exception(error)


def unreachable(reason: str) -> StoreError:
    """The error of a broker without a connection."""
    return StoreError("bus.unreachable", "the broker", reason[:200], "Start it, or correct BUS_BROKER")


def refused() -> StoreError:
    """The error of a message that the broker did not confirm."""
    return StoreError("bus.refused", "the broker", "it did not take the message", "Look at its log")
