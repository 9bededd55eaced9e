"""Work that costs memory or a processor: a few at a time, a few waiting, the others sent away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from pvm_api.problems import ApiError

_RETRY_S: Final = 5


class Slots:
    """A bounded number of places for one kind of work.

    Args:
        code: of the refusal, e.g. ``search.busy``; registered as 503.
        capacity: at work at once.
        waiting: that may wait for a place.
        patience_s: seconds that one waits.
    """

    def __init__(self, code: str, capacity: int, waiting: int, patience_s: float) -> None:
        self._code = code
        self._places = anyio.Semaphore(capacity)
        self._room = capacity + waiting
        self._inside = 0
        self._patience_s = patience_s

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """A place, while the block runs.

        Raises:
            ApiError: 503 with Retry-After: too many wait, or this one has waited too long.
        """
        if self._inside >= self._room:
            raise self._busy()
        self._inside += 1
        try:
            await self._acquire()
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._inside -= 1

    async def _acquire(self) -> None:
        try:
            with anyio.fail_after(self._patience_s):
                await self._places.acquire()
        except TimeoutError:
            raise self._busy() from None

    def _busy(self) -> ApiError:
        return ApiError(
            self._code,
            "as many others are at work on this as memory allows",
            f"Try again in {_RETRY_S} s",
            {"Retry-After": str(_RETRY_S)},
        )
