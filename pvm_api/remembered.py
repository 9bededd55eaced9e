"""One answer for all who ask within a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
from starlette.concurrency import run_in_threadpool

T = TypeVar("T")


class Remembered(Generic[T]):
    """What a function in a thread found, for some time; while it looks, whoever asks waits for that answer.

    Args:
        seconds: that an answer counts.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = anyio.Lock()
        self._found: tuple[float, T] | None = None

    async def get(self, look: Callable[[], T]) -> T:
        """The answer."""
        async with self._lock:
            if self._found is None or time.monotonic() - self._found[0] >= self._seconds:
                found = await run_in_threadpool(look)
                self._found = time.monotonic(), found
            return self._found[1]
