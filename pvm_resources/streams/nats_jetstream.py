"""The stream in NATS JetStream: a work queue, of which what is acknowledged is removed and nothing else.

Names there hold no colon: ``product:updates`` is the stream ``product_updates`` with the subject
``product.updates``.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pvm_core.errors import StoreError
from pvm_resources.streams.base import (
    CLAIM_S,
    GROUP,
    KEY,
    DeadLetter,
    Depth,
    Entry,
    decode,
    encode,
    place,
    unreachable,
)

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext
    from nats.js.api import RawStreamMsg

_T = TypeVar("_T")
_WHERE: Final = "NATS"
#: Seconds that the server has for an answer.
_ANSWER_S: Final = 10.0
_CONNECT_S: Final = 5
#: Entries that all consumers together may hold.
_HELD: Final = 10_000


class NatsStream:
    """See `Stream`.

    Args:
        url: ``nats://host:4222``, user and password in it where it wants them.
        key, group: of the stream; the group is a durable pull consumer.
        claim_s: seconds after which what was not acknowledged is handed out again.
    """

    def __init__(self, url: str, key: str = KEY, group: str = GROUP, claim_s: float = CLAIM_S) -> None:
        self._subject = key.replace(":", ".")
        self._stream = self._subject.replace(".", "_")
        self._group = group
        self._claim_s = claim_s
        self._subscription: Any = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nats", daemon=True)
        self._thread.start()
        try:
            self._client, self._js = self._wait(self._opened(url), _ANSWER_S)
        except BaseException:
            self._end()
            raise

    def publish(self, event: Mapping[str, str]) -> str:
        """See `Stream`. The event's id is the message's, so that a second try within minutes is none."""
        headers = {"Nats-Msg-Id": event["event_id"]} if event.get("event_id") else None
        done = self._wait(self._js.publish(self._subject, encode(event).encode(), headers=headers))
        return str(done.seq)

    def read(self, consumer: str, count: int, block_ms: int) -> list[Entry]:
        """See `Stream`. NATS tells consumers of a group apart by their connections."""
        if self._subscription is None:
            self._subscription = self._wait(
                self._js.pull_subscribe_bind(durable=self._group, stream=self._stream)
            )
        found = self._wait(self._fetched(count, block_ms / 1_000), block_ms / 1_000 + _ANSWER_S)
        if not found and not self._client.is_connected:
            raise unreachable(_WHERE, ConnectionError("the connection is closed"))
        return [_entry(message) for message in found]

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        """See `Stream`."""

        async def all_of_them() -> None:
            # The server's answer is waited for: an acknowledgement that is lost would cost a delivery.
            await asyncio.gather(*(one.handle.ack_sync(timeout=_ANSWER_S) for one in entries))

        if entries:
            self._wait(all_of_them(), 2 * _ANSWER_S)

    def postpone(self, entries: Sequence[Entry]) -> None:
        """See `Stream`."""
        for one in entries:
            self._wait(one.handle.nak(delay=self._claim_s))

    def bury(self, entry: Entry, reason: str) -> None:
        """See `Stream`."""
        letter = {"event": encode(entry.event), "reason": reason, "entry_id": entry.entry_id}
        # A crash before the acknowledgement buries it once all the same.
        headers = {"Nats-Msg-Id": f"dead {entry.entry_id}"}
        self._wait(self._js.publish(f"{self._subject}.dead", encode(letter).encode(), headers=headers))
        self.acknowledge([entry])

    def dead(self, limit: int) -> list[DeadLetter]:
        """See `Stream`."""
        return [letter for _, letter in self._letters(limit)]

    def replay(self, limit: int) -> int:
        """See `Stream`."""
        letters = self._letters(limit)
        for number, letter in letters:
            # Under its own id the server would take it for a second try of the first.
            headers = {"Nats-Msg-Id": f"replay {number} {letter.entry_id}"}
            body = encode(dict(letter.event)).encode()
            self._wait(self._js.publish(self._subject, body, headers=headers))
            self._wait(self._js.delete_msg(f"{self._stream}_dead", number))
        return len(letters)

    def depth(self) -> Depth:
        """See `Stream`."""
        group = self._wait(self._js.consumer_info(self._stream, self._group))
        dead = self._wait(self._js.stream_info(f"{self._stream}_dead"))
        return Depth(group.num_pending, group.num_ack_pending, dead.state.messages)

    def close(self) -> None:
        """See `Stream`."""
        # What it is closed for may be that it does not answer.
        with contextlib.suppress(StoreError):
            self._wait(self._client.close(), 1.0)
        self._end()

    async def _opened(self, url: str) -> tuple[Client, JetStreamContext]:
        import nats
        from nats.js.api import ConsumerConfig, RetentionPolicy, StreamConfig
        from nats.js.errors import BadRequestError

        client = await nats.connect(
            url, connect_timeout=_CONNECT_S, allow_reconnect=False, max_reconnect_attempts=0,
            error_cb=_silent,
        )  # fmt: skip
        found = client.jetstream(timeout=_ANSWER_S)
        queue = RetentionPolicy.WORK_QUEUE
        # One that is there in another form stays: somebody has set it up so.
        with contextlib.suppress(BadRequestError):
            await found.add_stream(StreamConfig(self._stream, subjects=[self._subject], retention=queue))
        with contextlib.suppress(BadRequestError):
            await found.add_stream(StreamConfig(f"{self._stream}_dead", subjects=[f"{self._subject}.dead"]))
        with contextlib.suppress(BadRequestError):
            await found.add_consumer(
                self._stream,
                ConsumerConfig(
                    durable_name=self._group, ack_wait=self._claim_s, max_deliver=-1, max_ack_pending=_HELD
                ),
            )
        return client, found

    async def _fetched(self, count: int, seconds: float) -> list[Any]:
        try:
            return list(await self._subscription.fetch(count, timeout=seconds))
        except TimeoutError:
            return []

    async def _next_letter(self, number: int) -> RawStreamMsg | None:
        from nats.js.errors import NotFoundError

        stream, subject = f"{self._stream}_dead", f"{self._subject}.dead"
        try:
            return await self._js.get_msg(stream, number, subject=subject, next=True)
        except NotFoundError:
            return None

    def _letters(self, limit: int) -> list[tuple[int, DeadLetter]]:
        found: list[tuple[int, DeadLetter]] = []
        number = 1
        while len(found) < limit:
            message = self._wait(self._next_letter(number))
            if message is None:
                break
            letter = decode(message.data or b"")
            number = int(message.seq or number)
            event = decode(letter.get("event", ""))
            found.append((number, DeadLetter(str(letter.get("entry_id")), event, str(letter.get("reason")))))
            number += 1
        return found

    def _wait(self, work: Coroutine[Any, Any, _T], seconds: float = _ANSWER_S) -> _T:
        """What the loop's thread makes of it."""
        with _faults():
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds + 1)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2)
        if not self._loop.is_running():
            self._loop.close()


async def _silent(_error: Exception) -> None:
    """Errors come to whoever waits; nats-py would print them, too."""


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    import nats.errors
    from nats.js import errors as js

    try:
        yield
    except (nats.errors.Error, js.Error, TimeoutError, OSError) as error:
        raise unreachable(_WHERE, error) from error


def _entry(message: Any) -> Entry:
    about = message.metadata
    number = about.sequence.stream
    return Entry(str(number), place(number), decode(message.data), about.num_delivered or 1, message)
