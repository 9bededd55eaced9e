"""Redis Pub/Sub: live updates of attention for whoever subscribes to a channel, as the websocket sends them.

Redis keeps nothing for those who are away; what is published is in the outbox, and over the API from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pvm_jobs.delivery_policy import DeliveryAnswer
from pvm_jobs.payloads import Outgoing, live_message
from pvm_resources.clients import installed
from pvm_resources.events.webhooks import Receiver
from pvm_resources.settings import Settings

if TYPE_CHECKING:
    from redis import Redis

#: Seconds for a connection and for an answer.
_ANSWER_S: Final = 10.0


class PubSubSink:
    """Publishes events; see `pvm_resources.events.webhooks.Sink`.

    Args:
        client: connects when it is used.
        channel: where.
    """

    batch = 50
    parallel = 4

    def __init__(self, client: Redis, channel: str) -> None:
        self._client = client
        self._channel = channel

    def send(self, receiver: Receiver, events: Sequence[Outgoing]) -> list[DeliveryAnswer]:
        """Publishes `events` in order, up to the first that Redis does not take."""
        import redis

        answers: list[DeliveryAnswer] = []
        try:
            for event in events:
                self._client.publish(self._channel, live_message(event))
                answers.append(DeliveryAnswer(200))
        except (redis.RedisError, OSError) as error:
            answers.append(DeliveryAnswer(None, f"Redis did not take it ({type(error).__name__})"))
        return answers

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()


def client_of(settings: Settings) -> Redis:
    """A client of the Redis that the settings name; it connects when it is used.

    Raises:
        StoreError: ``service.client``: it is not installed.
    """
    installed("redis", "streams")
    import redis

    password = settings.redis_password.get_secret_value() if settings.redis_password else None
    return redis.Redis(
        host=settings.redis_host, port=settings.redis_port, db=settings.redis_db, password=password,
        socket_timeout=_ANSWER_S, socket_connect_timeout=_ANSWER_S,
    )  # fmt: skip
