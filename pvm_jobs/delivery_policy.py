"""When the delivery of an event is retried, and when it is dead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

EndpointKind = Literal["webhook", "callback", "bus", "notification", "pubsub"]
#: Servers of this platform's own.
_OURS: Final = frozenset({"bus", "pubsub"})
DeliveryState = Literal["delivered", "retry", "dead", "gone"]

#: Seconds before each attempt, as Standard Webhooks 1.0.0 proposes: at once, 5 s, 5 and 30 minutes, 2, 5, 10,
#: 14, 20 and 24 hours.
ATTEMPTS_S: Final[tuple[int, ...]] = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
#: Seconds after each 409 of a callback. n8n answers it while the execution has not reached its Wait node yet,
#: and for ever once the execution has ended: the last one is followed by none.
CONFLICTS_S: Final[tuple[int, ...]] = (1, 2, 5, 10, 30, 60, 120, 300)
#: Seconds after each failure of the broker; the last one repeats: it is ours, so nothing is given up.
BUS_S: Final = (1, 2, 5, 10, 30)
#: The longest Retry-After that is kept to, seconds.
RETRY_AFTER_MAX_S: Final = 86_400.0

_CONFLICT: Final = 409
_GONE: Final = 410


@dataclass(frozen=True)
class DeliveryAnswer:
    """The result of one attempt to deliver.

    Attributes:
        status: of HTTP; None where there was no answer. Success is any of 2xx; the bus answers 200.
        error: what went wrong, "" where nothing did.
        retry_after_s: seconds the server asks to wait; None where it does not say.
        final: no later attempt can succeed, e.g. an address that is not allowed.
    """

    status: int | None
    error: str = ""
    retry_after_s: float | None = None
    final: bool = False

    @property
    def ok(self) -> bool:
        """True where the event has arrived."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True)
class DeliveryDecision:
    """What happens after an attempt.

    Attributes:
        state: ``gone`` disables the endpoint.
        delay_s: seconds to the next attempt, for ``retry``.
        conflict: the answer does not count as an attempt but as a conflict.
    """

    state: DeliveryState
    delay_s: float = 0.0
    conflict: bool = False


def next_delivery(
    kind: EndpointKind, attempts: int, conflicts: int, answer: DeliveryAnswer
) -> DeliveryDecision:
    """What happens after an attempt.

    Args:
        attempts, conflicts: made before this one.
    """
    if answer.ok:
        return DeliveryDecision("delivered")
    if answer.final:
        return DeliveryDecision("dead")
    if kind in _OURS:
        return DeliveryDecision("retry", float(BUS_S[min(attempts, len(BUS_S) - 1)]))
    if answer.status == _GONE:
        return DeliveryDecision("gone")
    if kind == "callback" and answer.status == _CONFLICT:
        delays, place = CONFLICTS_S, conflicts
    else:
        delays, place = ATTEMPTS_S, attempts + 1
    if place >= len(delays):
        return DeliveryDecision("dead")
    pause = min(answer.retry_after_s or 0.0, RETRY_AFTER_MAX_S)
    return DeliveryDecision("retry", max(float(delays[place]), pause), delays is CONFLICTS_S)
