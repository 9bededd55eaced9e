"""What is sent: an event as consumers get it, and the body of a webhook."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

#: A webhook's body stays below this, bytes (Standard Webhooks 1.0.0); the URLs in it lead to the rest.
BODY_MAX: Final = 20_000


@dataclass(frozen=True)
class Outgoing:
    """One event on its way to one endpoint.

    Attributes:
        job_id: "" for an event of the catalogue.
        attempts, conflicts: made before.
        created_at: when the event was written.
    """

    event_id: uuid.UUID
    job_id: str
    seq: int
    name: str
    payload: dict[str, Any]
    created_at: datetime
    attempts: int = 0
    conflicts: int = 0


@dataclass(frozen=True)
class Links:
    """Addresses of the REST API with the details of an event; `base` is without a final slash."""

    base: str

    def of(self, event: Outgoing) -> dict[str, str]:
        """The URLs that belong to an event."""
        if not event.job_id:
            product = event.payload["product_id"]
            return {
                "product": f"{self.base}/v1/products/{product}",
                "results": f"{self.base}/v1/results?product={product}",
            }
        found = {
            "job": f"{self.base}/v1/jobs/{event.job_id}",
            "results": f"{self.base}/v1/results?job={event.job_id}",
        }
        if "match_id" in event.payload:
            found["match"] = f"{self.base}/v1/matches/{event.payload['match_id']}"
        return found


def delivered(event: Outgoing) -> dict[str, Any]:
    """The event as its contract has it: its own fields with ``job_id``, ``event_id``, ``occurred_at``."""
    return {
        **event.payload,
        **({"job_id": event.job_id} if event.job_id else {}),
        "event_id": str(event.event_id),
        "occurred_at": _time(event.created_at),
    }


def encode(value: Mapping[str, Any]) -> bytes:
    """JSON as it is sent: UTF-8, no blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def live_message(event: Outgoing) -> str:
    """The event as websockets and channels have it: JSON of its place (`id`), its name and its data."""
    return encode({"id": event.seq, "event": event.name, "data": delivered(event)}).decode()


def webhook_body(event: Outgoing, links: Links) -> bytes:
    """The body ``{type, timestamp, data}``, below `BODY_MAX` bytes.

    Lists and texts that do not fit are left out, the longest first, and named in ``data.omitted``.
    """
    data = {**delivered(event), "urls": links.of(event)}
    while len(body := _body(event, data)) >= BODY_MAX:
        sizes = {k: len(encode({k: v})) for k, v in data.items() if k not in _KEPT and v is not None}
        longest = max(sizes, key=lambda name: sizes[name])
        omitted = sorted({*data.get("omitted", ()), longest})
        data = {k: v for k, v in data.items() if k != longest} | {"omitted": omitted}
    return body


_KEPT: Final = frozenset({"job_id", "event_id", "occurred_at", "urls", "omitted"})


def _body(event: Outgoing, data: Mapping[str, Any]) -> bytes:
    return encode({"type": event.name, "timestamp": _time(event.created_at), "data": data})


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
