"""The stream in Supabase Queues: pgmq behind PostgREST, schema ``pgmq_public``.

Functions and their arguments: Supabase's documentation, "Queues", API reference.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pvm_core.errors import StoreError
from pvm_resources.streams.base import (
    CLAIM_S,
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
    from postgrest import SyncPostgrestClient

_WHERE: Final = "Supabase"
#: Seconds between two looks: PostgREST does not wait.
_LOOK_S: Final = 0.5
_ANSWER_S: Final = 10.0


class SupabaseStream:
    """See `Stream`.

    Args:
        client: made by `connect`.
        key: the queue's name, colons as underscores; ``_dead`` is added for dead letters. Both are made in
            Supabase, with access to ``pgmq_public``.
        claim_s: seconds that a message is out of others' sight.
    """

    def __init__(self, client: SyncPostgrestClient, key: str = KEY, claim_s: float = CLAIM_S) -> None:
        self._client = client
        self._queue = key.replace(":", "_")
        self._dead = f"{self._queue}_dead"
        self._claim_s = claim_s

    def publish(self, event: Mapping[str, str]) -> str:
        """See `Stream`."""
        return self._send(self._queue, dict(event))

    def read(self, consumer: str, count: int, block_ms: int) -> list[Entry]:
        """See `Stream`. Supabase does not tell consumers apart."""
        until = time.monotonic() + block_ms / 1_000
        while True:
            found = self._read(self._queue, count, self._claim_s)
            if found or time.monotonic() + _LOOK_S > until:
                return [_entry(row) for row in found]
            time.sleep(_LOOK_S)

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        """See `Stream`."""
        for one in entries:
            self._delete(self._queue, one.handle)

    def postpone(self, entries: Sequence[Entry]) -> None:
        """See `Stream`: they come into sight again by themselves."""

    def bury(self, entry: Entry, reason: str) -> None:
        """See `Stream`."""
        letter = {"event": encode(entry.event), "reason": reason, "entry_id": entry.entry_id}
        self._send(self._dead, letter)
        self._delete(self._queue, entry.handle)

    def dead(self, limit: int) -> list[DeadLetter]:
        """See `Stream`."""
        return [_letter(row) for row in self._read(self._dead, limit, 0)]

    def replay(self, limit: int) -> int:
        """See `Stream`."""
        rows = self._read(self._dead, limit, self._claim_s)
        for row in rows:
            self._send(self._queue, dict(_letter(row).event))
            self._delete(self._dead, int(row["msg_id"]))
        return len(rows)

    def depth(self) -> Depth:
        """See `Stream`: its interface does not tell."""
        return Depth(None, None, None)

    def close(self) -> None:
        """See `Stream`."""
        self._client.session.close()

    def _send(self, queue: str, message: Mapping[str, Any]) -> str:
        found = self._call("send", queue_name=queue, message=message, sleep_seconds=0)
        return str(found[0] if isinstance(found, list) else found)

    def _read(self, queue: str, count: int, seconds: float) -> list[dict[str, Any]]:
        found = self._call("read", queue_name=queue, sleep_seconds=round(seconds), n=count)
        return list(found or [])

    def _delete(self, queue: str, number: int) -> None:
        self._call("delete", queue_name=queue, message_id=number)

    def _call(self, function: str, **arguments: Any) -> Any:
        with faults():
            return self._client.rpc(function, arguments).execute().data


def connect(url: str, key: str, schema: str) -> SyncPostgrestClient:
    """A client of a project's PostgREST.

    Args:
        url: of the project, ``https://….supabase.co``.
        key: a secret key of the project.
        schema: of the tables and functions that are used.
    """
    import httpx
    from postgrest import SyncPostgrestClient

    address = f"{url.rstrip('/')}/rest/v1"
    headers = {"apikey": key, "Authorization": f"Bearer {key}"}
    # A repeated call could publish twice; consumers call again by themselves.
    return SyncPostgrestClient(
        address, schema=schema, headers=headers, retry_enabled=False,
        http_client=httpx.Client(base_url=address, timeout=_ANSWER_S),
    )  # fmt: skip


@contextlib.contextmanager
def faults() -> Iterator[None]:
    """Raises StoreError for the client's errors; no message holds the key."""
    import httpx
    from postgrest.exceptions import APIError

    try:
        yield
    except httpx.HTTPError as error:
        raise unreachable(_WHERE, error) from error
    except APIError as error:
        # PostgREST's own codes and those of SQLSTATE class 08 and 57: the database is away for a time.
        if str(error.code or "").startswith(("PGRST00", "08", "57", "5")):
            raise unreachable(_WHERE, error) from error
        reason = (error.message or str(error))[:200]
        raise StoreError("stream.refused", _WHERE, reason, "Look at the queue and the key") from error


def _entry(row: Mapping[str, Any]) -> Entry:
    number = int(row["msg_id"])
    event = row["message"] if isinstance(row["message"], dict) else decode(row["message"])
    return Entry(str(number), place(number), event, int(row["read_ct"]), number)


def _letter(row: Mapping[str, Any]) -> DeadLetter:
    letter = _entry(row).event
    return DeadLetter(str(letter.get("entry_id")), decode(letter.get("event", "")), str(letter.get("reason")))
