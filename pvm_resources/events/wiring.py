"""A relay as the settings want it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from pvm_jobs.events import ATTENTION
from pvm_jobs.notices import Notice, notice_of
from pvm_jobs.payloads import Links, Outgoing
from pvm_resources.events import signing
from pvm_resources.events.broker import BusSink
from pvm_resources.events.notifications import NotificationSink, keep_setting
from pvm_resources.events.pubsub import PubSubSink, client_of
from pvm_resources.events.relay import WORKERS, Relay
from pvm_resources.events.webhooks import Sink, WebhookSink
from pvm_resources.http.address_policy import AllowList, PinnedTransport
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings
from pvm_resources.store.deliveries import LEASE_S
from pvm_resources.store.endpoints import BUS_ID, DEFAULT_EVENTS, PUBSUB_ID, SETTINGS_ID, Endpoints
from pvm_resources.store.job_news import JobNewsQueries
from pvm_resources.tracing import Tracing

#: The setting that names the channel of live updates.
_CHANNEL: Final = "PVM_ATTENTION_REDIS_CHANNEL"


def make_relay(
    settings: Settings, database: Database, *, workers: int = WORKERS, lease_s: float = LEASE_S
) -> Relay:
    """A relay for webhooks, callbacks and notifications, and for the bus where one is set.

    Endpoints that the settings name are made, those they no longer name are disabled.

    Raises:
        InputError: ``settings.invalid``, ``webhook.secret``, ``endpoint.events``.
        StoreError: the database is out of reach.
    """
    keep_endpoints(settings, Endpoints(database))
    web = webhook_sink(settings)
    sinks: dict[str, Sink] = {
        "webhook": web,
        "callback": web,
        "notification": NotificationSink(_notices(settings, JobNewsQueries(database))),
    }
    if settings.bus_url is not None:
        sinks["bus"] = BusSink(settings.bus_url.get_secret_value())
    if settings.attention_redis_channel:
        sinks["pubsub"] = PubSubSink(client_of(settings), settings.attention_redis_channel)
    tracing = Tracing.of(settings, "pvm-relay")
    return Relay(database, sinks, workers=workers, lease_s=lease_s, tracing=tracing)


def _notices(settings: Settings, news: JobNewsQueries) -> Callable[[Outgoing], Notice | None]:
    base = links(settings).base

    def of(event: Outgoing) -> Notice | None:
        found = news.of(event.job_id)
        return None if found is None else notice_of(event.name, found, f"{base}/review/{event.job_id}")

    return of


def webhook_sink(settings: Settings) -> WebhookSink:
    """The way out for webhooks: only to addresses that are public or named by CALLBACK_ALLOWED_HOSTS.

    Raises:
        InputError: ``settings.invalid``, ``webhook.secret``.
    """
    secrets = _secret(settings.callback_secret.get_secret_value() if settings.callback_secret else None)
    transport = PinnedTransport(AllowList.parse(settings.callback_allow, "CALLBACK_ALLOWED_HOSTS"))
    return WebhookSink(transport, links(settings), secrets=(secrets,) if secrets else ())


def links(settings: Settings) -> Links:
    """Where users reach the REST API."""
    return Links(settings.public_url)


def keep_endpoints(settings: Settings, endpoints: Endpoints) -> None:
    """Makes the endpoints that the settings name, and disables those they no longer name.

    Raises:
        InputError: ``webhook.secret``, ``endpoint.events``, ``notify.url``.
    """
    if settings.webhook_url:
        events = settings.webhook_events.split(",") if settings.webhook_events else DEFAULT_EVENTS
        secret = _secret(settings.webhook_secret.get_secret_value() if settings.webhook_secret else None)
        endpoints.put(
            SETTINGS_ID, "webhook", settings.webhook_url, events, secret=secret, name="PVM_WEBHOOK_URL"
        )
    else:
        endpoints.disable(SETTINGS_ID, "PVM_WEBHOOK_URL is not set")
    urls = settings.notify_urls.get_secret_value() if settings.notify_urls else ""
    keep_setting(endpoints, [url for url in re.split(r"[,\s]+(?=[a-z0-9]+://)", urls.strip()) if url])
    if settings.bus_url is not None:
        where = urlsplit(settings.bus_url.get_secret_value())
        # Without user and password: the address that is used is always the one in the settings.
        shown = f"{where.scheme}://{where.hostname or ''}{where.path}"
        endpoints.put(BUS_ID, "bus", shown, ["*"], name="BUS_BROKER")
    else:
        endpoints.disable(BUS_ID, "BUS_BROKER is not set")
    if channel := settings.attention_redis_channel:
        place = f"redis://{settings.redis_host}:{settings.redis_port}/{settings.redis_db}#{channel}"
        endpoints.put(PUBSUB_ID, "pubsub", place, ATTENTION, name=_CHANNEL)
    else:
        endpoints.disable(PUBSUB_ID, f"{_CHANNEL} is not set")


def _secret(given: str | None) -> str | None:
    if given is not None:
        signing.key_of(given)
    return given
