"""Requests that come over the bus (founding document 1, section 4), validated before they are stored.

`products.collect.request` and `videos.search.request` of one job id are two halves of one job; the inbox
sensor pairs them, in whatever order they came.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pvm_core import ids
from pvm_core.errors import InputError
from pvm_jobs import contracts
from pvm_jobs.events import MATCH, REQUESTS, canonical
from pvm_jobs.request import JobRequest
from pvm_jobs.text import cleaned


@dataclass(frozen=True)
class BusRequest:
    """One request of the bus.

    Attributes:
        event_id: its identity: two with one id are one request.
        topic: one of `REQUESTS`.
        payload: as it came; it keeps the topic's contract.
    """

    event_id: uuid.UUID
    topic: str
    payload: Mapping[str, Any]


def read(topic: str, payload: Any, message_id: str | None = None) -> BusRequest:
    """A request as it came over the bus.

    Args:
        message_id: of the message, where it has one. The payload's own ``event_id`` wins; where there is
            neither, the content is the identity, so that the same request sent twice counts once.

    Raises:
        InputError: ``contract.unknown``, ``contract.invalid``, ``request.*``.
    """
    name = canonical(topic)
    if name not in REQUESTS:
        raise InputError("contract.unknown", topic[:200], "it is no request", f"Send {', '.join(REQUESTS)}")
    contracts.validate(name, payload)
    if cleaned(payload) != payload:
        raise InputError("contract.invalid", name, "it holds NUL or half a character", "Send Unicode text")
    if name != MATCH:
        # What no job can be made of is refused here, where its sender still has the message.
        JobRequest.parse(payload)
    return BusRequest(_identity(name, payload, message_id), name, payload)


def _identity(topic: str, payload: Mapping[str, Any], message_id: str | None) -> uuid.UUID:
    if "event_id" in payload:
        return uuid.UUID(payload["event_id"])
    try:
        return uuid.UUID(message_id or "")
    except ValueError:
        # A message id in another form is an identity all the same.
        given = message_id or json.dumps(payload, sort_keys=True, ensure_ascii=False)
        return uuid.uuid5(ids.ROOT, f"request|{topic}|{given}")
