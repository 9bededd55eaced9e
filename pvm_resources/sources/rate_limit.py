"""How long a request to a shop may take, and when it is sent again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from pvm_resources.http.retry import RetryPolicy
from pvm_resources.sources.faults import CallError

T = TypeVar("T")

#: For shops' APIs: four attempts within some ten seconds.
SHOP_RETRIES: Final = RetryPolicy(attempts=4, first_wait_s=1.0, max_wait_s=60.0)


@dataclass(frozen=True)
class RequestLimits:
    """What one request may cost.

    Attributes:
        connect_s, read_s: seconds to connect, and between two pieces of an answer.
        total_s: seconds for all of it, counted between pieces.
    """

    connect_s: float = 10.0
    read_s: float = 15.0
    total_s: float = 30.0


def retried(policy: RetryPolicy, request: Callable[[], T]) -> T:
    """What `request` returns, sent again while it fails in a way that may pass.

    Raises:
        CallError: the last failure.
    """
    return policy.call(
        request,
        retryable=lambda error: isinstance(error, CallError) and error.retryable,
        retry_after_s=lambda error: error.retry_after_s if isinstance(error, CallError) else None,
    )
