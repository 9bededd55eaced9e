"""The stream in Redis: the founding document's wire shape, group and consumers.

Entries are trimmed up to the oldest that a group has not acknowledged, never by a length.
"""

from __future__ import annotations

import contextlib
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

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
    from redis import Redis

_WHERE: Final = "Redis"
#: Seconds between two looks for what dead consumers left, and two trims.
_TRIM_S: Final = 10.0
#: Seconds that Redis has for an answer beyond what a read waits.
_ANSWER_S: Final = 5.0


class RedisStream:
    """See `Stream`.

    Args:
        client: made by `connect`.
        key, group: of the stream.
        partitions: streams that changes are spread over by their category, `key` with ``:0`` and so on;
            1: `key` alone.
        claim_s: seconds after which what a consumer holds is another's.
    """

    def __init__(
        self,
        client: Redis,
        key: str = KEY,
        group: str = GROUP,
        *,
        partitions: int = 1,
        claim_s: float = CLAIM_S,
    ) -> None:
        self._redis = client
        self._keys = [key] if partitions == 1 else [f"{key}:{n}" for n in range(partitions)]
        self._dead = f"{key}:dead"
        self._group = group
        self._claim_s = claim_s
        self._claimed = self._trimmed = 0.0
        self._ready = False

    def publish(self, event: Mapping[str, str]) -> str:
        """See `Stream`."""
        with _faults():
            key = self._key_of(event)
            return self._named(key, str(self._redis.xadd(key, dict(event))))  # type: ignore[arg-type]

    def read(self, consumer: str, count: int, block_ms: int) -> list[Entry]:
        """See `Stream`."""
        with _faults():
            self._ensure_group()
            now = time.monotonic()
            # The first read, too, takes what was left: its consumer may be the one that left it.
            if now - self._claimed > self._claim_s / 3:
                left = self._left(consumer, count)
                if left:
                    return left
                self._claimed = now
            if now - self._trimmed > _TRIM_S:
                self._trimmed = now
                self.trim()
            try:
                found: Any = self._redis.xreadgroup(
                    self._group, consumer, dict.fromkeys(self._keys, ">"), count, block_ms
                )
            except _response_error() as error:
                if "NOGROUP" not in str(error):
                    raise
                # The server lost the stream, or somebody deleted it.
                self._ready = False
                return []
            return [self._entry(key, *row) for key, entries in _listed(found) for row in entries]

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        """See `Stream`."""
        with _faults():
            for key in {one.handle[0] for one in entries}:
                done = [one.handle[1] for one in entries if one.handle[0] == key]
                self._redis.xack(key, self._group, *done)

    def postpone(self, entries: Sequence[Entry]) -> None:
        """See `Stream`: they stay pending until they are claimed."""

    def bury(self, entry: Entry, reason: str) -> None:
        """See `Stream`."""
        letter = {"event": encode(entry.event), "reason": reason, "entry_id": entry.entry_id}
        with _faults(), self._redis.pipeline(transaction=True) as pipe:
            pipe.xadd(self._dead, letter)  # type: ignore[arg-type]
            pipe.xack(entry.handle[0], self._group, entry.handle[1])
            pipe.execute()

    def dead(self, limit: int) -> list[DeadLetter]:
        """See `Stream`."""
        with _faults():
            rows: Any = self._redis.xrange(self._dead, count=limit)
        return [
            DeadLetter(fields["entry_id"], decode(fields["event"]), fields["reason"]) for _, fields in rows
        ]

    def replay(self, limit: int) -> int:
        """See `Stream`."""
        with _faults():
            rows: Any = self._redis.xrange(self._dead, count=limit)
            for letter, fields in rows:
                event = decode(fields["event"])
                with self._redis.pipeline(transaction=True) as pipe:
                    pipe.xadd(self._key_of(event), event)  # type: ignore[arg-type]
                    pipe.xdel(self._dead, letter)
                    pipe.execute()
        return len(rows)

    def depth(self) -> Depth:
        """See `Stream`."""
        lag: int | None = 0
        pending = 0
        with _faults():
            self._ensure_group()
            for key in self._keys:
                for one in self._groups(key):
                    if one["name"] == self._group:
                        # Redis does not know it after entries were deleted out of order.
                        lag = None if lag is None or one.get("lag") is None else lag + int(one["lag"])
                        pending += int(one["pending"])
            return Depth(lag, pending, int(self._redis.xlen(self._dead)))

    def trim(self) -> int:
        """Removes entries that every group has acknowledged; how many."""
        done = 0
        with _faults():
            for key in self._keys:
                keep = [self._oldest(key, one) for one in self._groups(key)]
                if keep:
                    done += int(self._redis.xtrim(key, minid=_text(min(keep)), approximate=False))
        return done

    def close(self) -> None:
        """See `Stream`."""
        self._redis.close()

    def _key_of(self, event: Mapping[str, Any]) -> str:
        if len(self._keys) == 1:
            return self._keys[0]
        data = decode(event.get("data") or "{}")
        by = str(data.get("category") or event.get("product_id")).lower()
        return self._keys[zlib.crc32(by.encode()) % len(self._keys)]

    def _named(self, key: str, entry_id: str) -> str:
        """An entry's id: two partitions may give the same one."""
        return entry_id if len(self._keys) == 1 else f"{key}:{entry_id}"

    def _entry(self, key: str, entry_id: str, fields: Mapping[str, str] | None, deliveries: int = 1) -> Entry:
        order = place(*_numbers(entry_id), self._keys.index(key))
        # An entry that was deleted while it was pending has no fields.
        return Entry(self._named(key, entry_id), order, dict(fields or {}), deliveries, (key, entry_id))

    def _ensure_group(self) -> None:
        if self._ready:
            return
        for key in self._keys:
            try:
                self._redis.xgroup_create(key, self._group, id="0", mkstream=True)
            except _response_error() as error:
                if "BUSYGROUP" not in str(error):
                    raise
        self._ready = True

    def _left(self, consumer: str, count: int) -> list[Entry]:
        """What consumers read and did not acknowledge for so long that they are taken for dead."""
        idle = round(1_000 * self._claim_s)
        found: list[Entry] = []
        for key in self._keys:
            answer: Any = self._redis.xautoclaim(key, self._group, consumer, idle, "0-0", count - len(found))
            entries = answer[1]
            if entries:
                rows: Any = self._redis.xpending_range(
                    key, self._group, entries[0][0], entries[-1][0], len(entries) * 4 + 100, consumer
                )
                times = {row["message_id"]: row["times_delivered"] for row in rows}
                found += [self._entry(key, one, fields, times.get(one, 1)) for one, fields in entries]
            if len(found) >= count:
                break
        return found

    def _groups(self, key: str) -> list[Mapping[str, Any]]:
        if not self._redis.exists(key):
            return []
        found: Any = self._redis.xinfo_groups(key)
        return list(found)

    def _oldest(self, key: str, group: Mapping[str, Any]) -> tuple[int, int]:
        """The oldest entry that a group may still need."""
        summary: Any = self._redis.xpending(key, group["name"])
        if summary["pending"]:
            return _numbers(summary["min"])
        milliseconds, number = _numbers(group["last-delivered-id"])
        return milliseconds, number + 1


def connect(host: str, port: int, db: int, password: str | None = None, block_ms: int = 2_000) -> Redis:
    """A client that connects when it is used."""
    import redis
    from redis.backoff import ExponentialBackoff
    from redis.retry import Retry

    return redis.Redis(
        host=host, port=port, db=db, password=password, decode_responses=True,
        socket_timeout=block_ms / 1_000 + _ANSWER_S, socket_connect_timeout=_ANSWER_S,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
    )  # fmt: skip


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    import redis

    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        raise unreachable(_WHERE, error) from error
    except redis.ResponseError as error:
        # Redis reads its file, or has no room: both pass.
        if str(error).startswith(("LOADING", "OOM", "MISCONF", "READONLY")):
            raise unreachable(_WHERE, error) from error
        raise StoreError("stream.refused", _WHERE, str(error)[:200], "Look at its log") from error


def _response_error() -> type[Exception]:
    import redis

    return redis.ResponseError


def _listed(found: Any) -> list[tuple[str, Any]]:
    """Key and entries of each stream; the form depends on the protocol's version."""
    if not found:
        return []
    if isinstance(found, dict):
        return [(key, batch) for key, batches in found.items() for batch in batches]
    return [(key, entries) for key, entries in found]


def _numbers(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


def _text(numbers: tuple[int, int]) -> str:
    return f"{numbers[0]}-{numbers[1]}"
