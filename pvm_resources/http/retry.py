"""When a download is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class Patience:
    """How often, and after which pauses.

    Attributes:
        tries: in all, the first included.
        base_s, most_s: the pause after n failed tries is random within the upper half of
            0..min(most_s, base_s * 2^(n-1)) seconds: "equal jitter" of M. Brooker, "Exponential Backoff And
            Jitter" (AWS Architecture Blog, 2015), so that a server in trouble is never asked at once.
        asked_s: the longest pause that a server may ask for; one that asks for more is left alone and its
            downloads fail at once, to be retried by a later run.
    """

    tries: int = 3
    base_s: float = 0.5
    most_s: float = 8.0
    asked_s: float = 60.0

    def pause(self, failed: int, draw: Callable[[], float] = random.random) -> float:
        """Seconds to wait after so many failed tries (>= 1)."""
        full = min(self.most_s, self.base_s * 2.0 ** (failed - 1))
        return full * (0.5 + 0.5 * draw())


def retry_after(value: str, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for: a number or an HTTP date (RFC 9110, section 10.2.3).

    None where there is none or it is neither; 0 for a date gone by.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())
