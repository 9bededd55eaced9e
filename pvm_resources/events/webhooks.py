"""Webhooks and callbacks: one POST an event, signed, to allowed addresses only."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

import httpx

from pvm_core.errors import InputError
from pvm_jobs.delivery_policy import DeliveryAnswer, EndpointKind
from pvm_jobs.payloads import Links, Outgoing, webhook_body
from pvm_resources.events import signing
from pvm_resources.http.address_policy import Deadline, PinnedTransport
from pvm_resources.http.retry import retry_after

#: Seconds an attempt has, from the name server to the last byte (Standard Webhooks: 15 to 30).
TIMEOUT_S: Final = 20.0
#: Of an answer that is no success this much is read, bytes, to be shown.
_EXCERPT: Final = 500


@dataclass(frozen=True)
class Receiver:
    """Where an event goes.

    Attributes:
        url: used as it is, character for character.
        secrets: each signs; none: not signed.
    """

    kind: EndpointKind
    url: str
    secrets: tuple[str, ...] = ()


class Sink(Protocol):
    """A way out."""

    #: Events taken at once.
    batch: int
    #: Streams of one endpoint that may be worked on side by side.
    parallel: int

    def send(self, receiver: Receiver, events: Sequence[Outgoing]) -> list[DeliveryAnswer]:
        """Sends events in order and stops after the first that does not arrive; an answer for each tried."""

    def close(self) -> None:
        """Ends the connections; an attempt under way fails."""


class WebhookSink:
    """Sends by HTTP.

    Args:
        transport: decides which addresses are allowed; raises InputError for the others.
        links: of the API.
        secrets: sign for receivers without one of their own.
        timeout_s: of one attempt, whole.
        now: seconds since the epoch.
    """

    batch = 1
    parallel = 4

    def __init__(
        self,
        transport: httpx.BaseTransport,
        links: Links,
        *,
        secrets: tuple[str, ...] = (),
        timeout_s: float = TIMEOUT_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = httpx.Client(
            transport=transport,
            follow_redirects=False,
            trust_env=False,
            timeout=timeout_s,
            headers={"User-Agent": "product-video-matching", "Accept-Encoding": "identity"},
        )
        self._transport = transport
        self._links = links
        self._secrets = secrets
        self._timeout_s = timeout_s
        self._now = now

    def send(self, receiver: Receiver, events: Sequence[Outgoing]) -> list[DeliveryAnswer]:
        """One attempt for the first of `events`."""
        event = events[0]
        body = webhook_body(event, self._links)
        secrets = receiver.secrets or self._secrets
        headers = signing.headers(str(event.event_id), int(self._now()), body, secrets)
        return [self._post(receiver.url, body, {**headers, "Content-Type": "application/json"})]

    def close(self) -> None:
        """Ends the connections; an attempt under way fails."""
        if isinstance(self._transport, PinnedTransport):
            self._transport.cut()
        self._client.close()

    def _post(self, url: str, body: bytes, headers: dict[str, str]) -> DeliveryAnswer:
        extensions = {"deadline": Deadline(self._timeout_s)}
        try:
            with self._client.stream(
                "POST", url, content=body, headers=headers, extensions=extensions
            ) as response:
                return self._answer(response)
        except InputError as error:
            return DeliveryAnswer(None, f"{error.reason} [{error.code}]", final=True)
        except httpx.TimeoutException:
            return DeliveryAnswer(None, f"no answer within {self._timeout_s:g} s")
        except (httpx.TransportError, httpx.InvalidURL) as error:
            return DeliveryAnswer(
                None, str(error) or type(error).__name__, final=isinstance(error, httpx.InvalidURL)
            )

    def _answer(self, response: httpx.Response) -> DeliveryAnswer:
        status = response.status_code
        if 200 <= status < 300:
            return DeliveryAnswer(status)
        if 300 <= status < 400:
            return DeliveryAnswer(status, f"it answered {status}; redirects are not followed")
        moment = datetime.fromtimestamp(self._now(), UTC)
        return DeliveryAnswer(
            status,
            f"it answered {status}{_excerpt(response)}",
            retry_after(response.headers.get("retry-after"), moment),
        )


def _excerpt(response: httpx.Response) -> str:
    try:
        text = next(response.iter_raw(_EXCERPT), b"").decode("utf-8", "replace")
    except httpx.HTTPError:
        return ""
    line = " ".join(part for part in text.split() if part.isprintable())
    return f": {line[:200]}" if line else ""
