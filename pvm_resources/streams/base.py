"""What every stream of products' changes does, and the records that travel on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pvm_core.errors import InputError, StoreError
from pvm_jobs.text import dumps

#: The founding values of `PRODUCT_STREAM_KEY`, `PRODUCT_STREAM_GROUP` and `PRODUCT_STREAM_CONSUMER`, of the
#: entries read at once, and of the milliseconds that a read waits for one.
KEY: Final = "product:updates"
GROUP: Final = "product-processors"
CONSUMER: Final = "worker-{}"
BATCH: Final = 10
BLOCK_MS: Final = 2_000
#: Seconds after which another consumer takes over what one has read and not acknowledged.
CLAIM_S: Final = 30.0
#: The length to which an entry's number is filled, so that texts sort as numbers do.
_DIGITS: Final = 20

#: Applies events of one batch, in their order; for each None, or why it is refused. Raises `StoreError`
#: where nothing was applied.
Handler = Callable[[Sequence[Mapping[str, Any]]], Sequence[InputError | None]]


@dataclass(frozen=True)
class Entry:
    """An event as a stream hands it out.

    Attributes:
        entry_id: as its stream writes it.
        order: a text that sorts as the stream does.
        event: the founding wire shape, ``{event_type, product_id, timestamp, data}``; what is no event at all
            is empty.
        deliveries: how often it was handed out, this time included; >= 1.
        handle: what its stream acknowledges it by.
    """

    entry_id: str
    order: str
    event: Mapping[str, Any]
    deliveries: int = 1
    handle: Any = None

    @property
    def ordered(self) -> dict[str, Any]:
        """The event; between changes of one time the place in the stream decides, where no id was given."""
        return {**self.event, "event_id": self.event.get("event_id") or self.order}


@dataclass(frozen=True)
class DeadLetter:
    """An event that was given up."""

    entry_id: str
    event: Mapping[str, Any]
    reason: str


@dataclass(frozen=True)
class Depth:
    """What waits in a stream; None where it does not say.

    Attributes:
        lag: entries that no consumer has read.
        pending: entries read and not acknowledged.
        dead: dead letters.
    """

    lag: int | None
    pending: int | None
    dead: int | None


class Stream(Protocol):
    """One connection to a stream; for one thread. What does not answer is a `StoreError`
    ``stream.unreachable``."""

    def publish(self, event: Mapping[str, str]) -> str:
        """Adds an event, durably as far as the server is; its entry id."""

    def read(self, consumer: str, count: int, block_ms: int) -> list[Entry]:
        """Entries for this consumer alone, those first that a dead one left; none after `block_ms`."""

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        """They are done and need not be kept."""

    def postpone(self, entries: Sequence[Entry]) -> None:
        """They are handed out again, after `CLAIM_S` seconds or so."""

    def bury(self, entry: Entry, reason: str) -> None:
        """Makes it a dead letter; never neither entry nor letter."""

    def dead(self, limit: int) -> list[DeadLetter]:
        """Dead letters, oldest first."""

    def replay(self, limit: int) -> int:
        """Puts dead letters back, oldest first; how many."""

    def depth(self) -> Depth:
        """What waits."""

    def close(self) -> None:
        """Ends the connection; what was read and not acknowledged is handed out again."""


class EventProcessor(Protocol):
    """Publishes and consumes products' changes. The names are those of the founding document."""

    def set_event_handler(self, handler: Handler) -> None:
        """What consumers call."""

    def start_consumer(self, consumer_id: str | None = None) -> str:
        """Starts a consumer in a thread of its own; any number may run. Its name."""

    def stop_consumer(self) -> bool:
        """Ends all consumers once what they handle is done; False where one did not end within 5 s."""

    def publish_product_created(self, product_data: Mapping[str, Any]) -> str | None:
        """Publishes a whole product, ``id`` among its fields; the entry id, or None with a logged reason."""

    def publish_product_updated(self, product_id: str, update_data: Mapping[str, Any]) -> str | None:
        """Publishes changed fields."""

    def publish_product_deleted(self, product_id: str) -> str | None:
        """Publishes that a product is gone."""


def place(*numbers: int) -> str:
    """A text that sorts as these numbers do."""
    return "-".join(f"{number:0{_DIGITS}d}" for number in numbers)


def encode(event: Mapping[str, str]) -> str:
    """An event as JSON, for streams that carry one text."""
    return dumps(event)


def decode(body: bytes | str) -> dict[str, Any]:
    """The event in a text; empty where it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def unreachable(where: str, error: BaseException) -> StoreError:
    """The error of a stream that does not answer."""
    reason = (str(error) or type(error).__name__)[:200]
    return StoreError("stream.unreachable", where, reason, "Start it, or correct its address")
