"""How long a source waits for an answer, how often and how late it tries again."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from pvm_resources.sources.faults import CallError

T = TypeVar("T")


@dataclass(frozen=True)
class Pace:
    """Exponential backoff with jitter.

    Attributes:
        retries: tries after the first one.
        first_wait_s: seconds before the first of them, on average; doubled for each that follows.
        max_wait_s: a server that asks for more than this is not waited for.
        sleep: waits that many seconds.
        chance: a number from 0 to 1, for the jitter.
    """

    retries: int = 3
    first_wait_s: float = 1.0
    max_wait_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def again(self, retries_made: int, retry_after_s: float | None = None) -> bool:
        """Waits before the next try; False, at once, where there is to be none."""
        if retries_made >= self.retries or (retry_after_s or 0.0) > self.max_wait_s:
            return False
        # From half to one and a half of the wait, so that clients refused together do not return together.
        backoff = min(self.first_wait_s * 2**retries_made, self.max_wait_s) * (0.5 + self.chance())
        self.sleep(backoff if retry_after_s is None else retry_after_s + self.chance() * self.first_wait_s)
        return True

    def call(self, ask: Callable[[], T]) -> T:
        """What `ask` returns, asked again while it fails in a way that may pass.

        Raises:
            CallError: the last failure.
        """
        retries_made = 0
        while True:
            try:
                return ask()
            except CallError as error:
                if not error.retryable or not self.again(retries_made, error.retry_after_s):
                    raise
            retries_made += 1


@dataclass(frozen=True)
class Limits:
    """What one request may cost.

    Attributes:
        connect_s, read_s: seconds to connect, and between two pieces of an answer.
        total_s: seconds for all of it, counted between pieces.
    """

    connect_s: float = 10.0
    read_s: float = 15.0
    total_s: float = 30.0


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds asked for by a ``Retry-After`` header: a number or an HTTP date (RFC 9110, 10.2.3).

    Returns:
        At least 0; None where there is no header or it says neither.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            until = parsedate_to_datetime(value)
        except ValueError:
            return None
        aware = until if until.tzinfo else until.replace(tzinfo=UTC)
        seconds = (aware - (now or datetime.now(UTC))).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None
