"""When a request is sent again: backoff with jitter, and what a server's Retry-After asks for."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

T = TypeVar("T")

_SECONDS: Final = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request is sent, and after which pauses.

    Attributes:
        attempts: in all, the first included.
        first_wait_s, max_wait_s: the pause after n failed attempts is random within the upper half of
            0..min(max_wait_s, first_wait_s * 2^(n-1)) seconds: "equal jitter" of M. Brooker, "Exponential
            Backoff And Jitter" (AWS Architecture Blog, 2015), so that an overloaded server never gets a
            request at once.
        max_retry_after_s: the longest Retry-After that is waited for; a request that has to wait longer fails
            at once, to be retried by a later run.
        sleep: waits that many seconds.
        jitter: a number from 0 to 1.
    """

    attempts: int = 3
    first_wait_s: float = 0.5
    max_wait_s: float = 8.0
    max_retry_after_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def wait_s(self, failed: int, retry_after_s: float | None = None) -> float:
        """Seconds to wait after so many failed attempts (>= 1), at least what the server asks for."""
        if retry_after_s is not None:
            return retry_after_s + self.jitter() * self.first_wait_s
        # A float's exponent ends near 1,024.
        full = min(self.max_wait_s, self.first_wait_s * 2.0 ** min(failed - 1, 1_000))
        return full * (0.5 + 0.5 * self.jitter())

    def call(
        self,
        request: Callable[[], T],
        retryable: Callable[[BaseException], bool],
        retry_after_s: Callable[[BaseException], float | None],
    ) -> T:
        """What `request` returns, called again while it raises something `retryable`.

        Raises:
            BaseException: the last failure.
        """

        def again(error: BaseException) -> bool:
            return retryable(error) and (retry_after_s(error) or 0.0) <= self.max_retry_after_s

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return self.wait_s(state.attempt_number, retry_after_s(error) if error else None)

        retrying = Retrying(
            retry=retry_if_exception(again),
            stop=stop_after_attempt(self.attempts),
            wait=wait,
            sleep=self.sleep,
            reraise=True,
        )
        return retrying(request)


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for: a number or an HTTP date (RFC 9110, section 10.2.3).

    None where there is none or it is neither; 0 for a past date.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return max(0.0, float(text[:12]))
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())
