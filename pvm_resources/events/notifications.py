"""Notifications to people by apprise: mail, Slack, Telegram and everything else that it knows."""

from __future__ import annotations

import logging
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pvm_core import ids
from pvm_core.errors import InputError
from pvm_jobs.delivery_policy import DeliveryAnswer
from pvm_jobs.notices import EVENTS, Notice
from pvm_jobs.payloads import Outgoing
from pvm_resources.events.webhooks import Receiver
from pvm_resources.store.endpoints import Endpoint, Endpoints

if TYPE_CHECKING:
    from apprise import NotifyBase

KIND: Final = "notification"
#: Name of those that the setting makes.
SETTING: Final = "PVM_NOTIFY_URLS"
#: Parts of an address from this length on may be secrets, and are not repeated from what apprise says.
_TELLING: Final = 4
_HELP: Final = "See docs/events.md, Notifications, for how addresses are written"


class NotificationSink:
    """Tells people of ended jobs; see `pvm_resources.events.webhooks.Sink`.

    Args:
        notice: what an event is worth telling; None: nothing.
    """

    batch = 1
    parallel = 1

    def __init__(self, notice: Callable[[Outgoing], Notice | None]) -> None:
        self._notice = notice

    def send(self, receiver: Receiver, events: Sequence[Outgoing]) -> list[DeliveryAnswer]:
        """One attempt for the first of `events`; the address is the receiver's secret."""
        notice = self._notice(events[0])
        if notice is None:
            return [DeliveryAnswer(204)]
        if not receiver.secrets:
            return [DeliveryAnswer(None, "its address is not stored", final=True)]
        return [notify(receiver.secrets[0], notice)]

    def close(self) -> None:
        """Holds nothing open."""


def notify(url: str, notice: Notice) -> DeliveryAnswer:
    """Sends a notification; what went wrong is told without any part of the address."""
    try:
        service = _service(url)
    except InputError as error:
        return DeliveryAnswer(None, f"{error.reason} [{error.code}]", final=True)
    from apprise import NotifyFormat

    with _said() as said:
        arrived = service.notify(title=notice.title, body=notice.body, body_format=NotifyFormat.TEXT)
    if arrived:
        return DeliveryAnswer(200)
    return DeliveryAnswer(None, _without_secrets(said[-1] if said else "it was not sent", url))


def add(endpoints: Endpoints, url: str, *, events: Sequence[str] = EVENTS, name: str = "") -> Endpoint:
    """Stores the address as an endpoint; the whole of it is its secret.

    Raises:
        InputError: ``notify.url``, ``notify.events``, ``endpoint.events``.
    """
    return _put(endpoints, uuid.uuid4(), url, events, name)


def keep_setting(endpoints: Endpoints, urls: Sequence[str]) -> None:
    """Makes the notifications that the setting names, and disables those it no longer names.

    Raises:
        InputError: ``notify.url``.
    """
    wanted = {uuid.uuid5(ids.ROOT, f"endpoint|notification|{url}"): url for url in urls}
    for endpoint_id, url in wanted.items():
        _put(endpoints, endpoint_id, url, EVENTS, SETTING)
    for one in endpoints.list():
        if one.kind == KIND and one.name == SETTING and one.endpoint_id not in wanted and one.enabled:
            endpoints.disable(one.endpoint_id, f"{SETTING} does not name it")


def _put(
    endpoints: Endpoints, endpoint_id: uuid.UUID, url: str, events: Sequence[str], name: str
) -> Endpoint:
    service = _service(url)
    unknown = [event for event in events if event not in EVENTS]
    if unknown or not events:
        reason = "nobody is notified of such an event"
        raise InputError("notify.events", ", ".join(unknown) or "events", reason, f"Use {', '.join(EVENTS)}")
    shown = f"{url.partition('://')[0]}://…"
    label = name or str(service.service_name)
    return endpoints.put(endpoint_id, "notification", shown, events, secret=url, name=label)


def _service(url: str) -> NotifyBase:
    import apprise

    with _said():
        found = apprise.Apprise.instantiate(url.strip(), suppress_exceptions=True)
    if found is None:
        scheme = url.partition("://")[0] if "://" in url else "address"
        # Never the address itself: it holds passwords and tokens.
        raise InputError("notify.url", f"{scheme[:20]}://…", "apprise does not understand it", _HELP)
    return found


@contextmanager
def _said() -> Iterator[list[str]]:
    """What apprise logs in this thread within the block. It goes nowhere else, as it may repeat secrets."""
    log = logging.getLogger("apprise")
    log.propagate = False
    lines: list[str] = []
    mine = threading.get_ident()

    class Note(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == mine:
                lines.append(record.getMessage())

    handler = Note(logging.WARNING)
    log.addHandler(handler)
    try:
        yield lines
    finally:
        log.removeHandler(handler)


def _without_secrets(text: str, url: str) -> str:
    parts = [part for part in re.split(r"[/:@?&=#,\s]+", url.partition("://")[2]) if len(part) >= _TELLING]
    host = urlsplit(url).hostname
    for part in sorted((part for part in parts if part != host), key=len, reverse=True):
        text = text.replace(part, "…")
    return " ".join(text.split())[:200]
