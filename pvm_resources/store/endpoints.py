"""Endpoints: who gets which events."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import urlsplit

from pvm_core import ids
from pvm_core.errors import InputError
from pvm_jobs.delivery_policy import EndpointKind
from pvm_jobs.events import BATCH, CATALOGUE, PER_ITEM, PER_JOB, canonical
from pvm_resources.postgres.driver import Statement
from pvm_resources.store.base import Repository, insert, listed

#: What a webhook gets unless it subscribes to something else: never one message a picture.
DEFAULT_EVENTS: Final = ("*.completed", "match.result", "match.verdict", "job.failed", "job.cancelled")
#: What a job's own callback gets: that the job has ended.
CALLBACK_EVENTS: Final = ("job.completed", "job.failed", "job.cancelled")
#: How long the secret before still signs after a new one has come.
OVERLAP: Final = timedelta(hours=24)
#: Endpoints of the settings keep their id when their address changes.
BUS_ID: Final = uuid.uuid5(ids.ROOT, "endpoint|bus")
PUBSUB_ID: Final = uuid.uuid5(ids.ROOT, "endpoint|pubsub")
SETTINGS_ID: Final = uuid.uuid5(ids.ROOT, "endpoint|settings")

_PATTERN: Final = re.compile(r"[a-z.*]{1,100}")
_NAMES: Final = (*PER_ITEM, *BATCH, *PER_JOB, *CATALOGUE)


@dataclass(frozen=True)
class Endpoint:
    """A receiver of events.

    Attributes:
        secret, old_secret: sign deliveries; the older one until `old_secret_until`.
        events: names, ``*`` stands for any characters.
        job_id: of a callback, else None.
        since: it gets no events written before.
    """

    endpoint_id: uuid.UUID
    kind: EndpointKind
    name: str
    url: str
    secret: str | None
    old_secret: str | None
    old_secret_until: datetime | None
    events: list[str]
    job_id: str | None
    enabled: bool
    disabled_reason: str | None
    since: datetime
    created_at: datetime

    def secrets(self, now: datetime) -> tuple[str, ...]:
        """The secrets that sign at that moment, the newest first."""
        found = [self.secret]
        if self.old_secret_until is not None and now < self.old_secret_until:
            found.append(self.old_secret)
        return tuple(secret for secret in found if secret)

    def __repr__(self) -> str:
        return f"Endpoint({self.endpoint_id}, {self.kind}, {self.name!r})"


_SELECT: Final = f"SELECT {listed(Endpoint)} FROM endpoints"


class Endpoints(Repository):
    """Table `endpoints`."""

    def add(
        self, url: str, *, secret: str, events: Sequence[str] = DEFAULT_EVENTS, name: str = ""
    ) -> Endpoint:
        """Adds a webhook for all jobs; it gets events from now on.

        Args:
            name: for people; default the address's host, as the rest of an address may be a secret.

        Raises:
            InputError: ``endpoint.events``.
        """
        shown = name or urlsplit(url).hostname or "webhook"
        return self.put(uuid.uuid4(), "webhook", url, events, secret=secret, name=shown)

    def put(
        self,
        endpoint_id: uuid.UUID,
        kind: EndpointKind,
        url: str,
        events: Sequence[str],
        *,
        secret: str | None = None,
        name: str = "",
    ) -> Endpoint:
        """Stores the endpoint as given and enables it; one that was disabled gets events from now on.

        Raises:
            InputError: ``endpoint.events``.
        """
        self._db.commit(
            insert(
                "endpoints AS e",
                {
                    "endpoint_id": endpoint_id, "kind": kind, "name": name, "url": url, "secret": secret,
                    "events": parse_events(events),
                },
                "ON CONFLICT (endpoint_id) DO UPDATE SET "
                "url = excluded.url, secret = excluded.secret, events = excluded.events, "
                "name = excluded.name, enabled = true, disabled_reason = NULL, "
                "since = CASE WHEN e.enabled THEN e.since ELSE now() END "
                "WHERE ROW(e.url, e.secret, e.events, e.name, e.enabled) IS DISTINCT FROM "
                "ROW(excluded.url, excluded.secret, excluded.events, excluded.name, true)",
            )
        )  # fmt: skip
        return self.get(str(endpoint_id))

    def get(self, reference: str) -> Endpoint:
        """The endpoint of that id, or of the only id that starts so (4 characters at least).

        Raises:
            InputError: ``endpoint.unknown``.
        """
        query = f"{_SELECT} WHERE starts_with(endpoint_id::text, %s) LIMIT 2"
        found = self._db.all(Endpoint, query, [reference.lower()])
        if len(found) != 1 or len(reference) < 4:
            reason = "it stands for more than one" if len(found) > 1 else "there is no such endpoint"
            raise InputError("endpoint.unknown", reference[:100], reason, "See pvm endpoints list")
        return found[0]

    def find(self, endpoint_id: uuid.UUID) -> Endpoint | None:
        """The endpoint of that id; None where there is none."""
        return self._db.one(Endpoint, f"{_SELECT} WHERE endpoint_id = %s", [endpoint_id])

    def list(self, *, callbacks: bool = False, limit: int = 1_000) -> list[Endpoint]:
        """Endpoints, oldest first; those of single jobs only with `callbacks`."""
        return self._db.all(
            Endpoint,
            f"{_SELECT} WHERE %s OR kind <> 'callback' ORDER BY created_at, endpoint_id LIMIT %s",
            [callbacks, limit],
        )

    def remove(self, endpoint_id: uuid.UUID) -> bool:
        """Removes it with its deliveries; False where there is none."""
        return self._execute("DELETE FROM endpoints WHERE endpoint_id = %s", endpoint_id) == 1

    def enable(self, endpoint_id: uuid.UUID) -> None:
        """Resumes its deliveries; it does not get events written while it was disabled."""
        self._execute(
            "UPDATE endpoints SET enabled = true, disabled_reason = NULL, since = now() "
            "WHERE endpoint_id = %s AND NOT enabled",
            endpoint_id,
        )

    def disable(self, endpoint_id: uuid.UUID, reason: str) -> None:
        """Stops its deliveries; they wait until it is enabled."""
        self._db.commit(self.disable_write(endpoint_id, reason))

    @staticmethod
    def disable_write(endpoint_id: uuid.UUID, reason: str) -> Statement:
        """The write of `disable`."""
        return Statement(
            "UPDATE endpoints SET enabled = false, disabled_reason = %s WHERE endpoint_id = %s AND enabled",
            [reason, endpoint_id],
        )

    def rotate(self, endpoint_id: uuid.UUID, secret: str, overlap: timedelta = OVERLAP) -> None:
        """Replaces its secret; the one before also signs for `overlap`."""
        self._execute(
            "UPDATE endpoints SET old_secret = secret, secret = %s, "
            "old_secret_until = CASE WHEN secret IS NULL THEN NULL ELSE now() + %s END "
            "WHERE endpoint_id = %s",
            secret,
            overlap,
            endpoint_id,
        )


def parse_events(given: Sequence[str]) -> list[str]:
    """Patterns of event names, each of which matches at least one; founding spellings made canonical.

    Raises:
        InputError: ``endpoint.events``.
    """
    found = [canonical(one.strip()) for one in given if one.strip()]
    for one in found or [""]:
        if not _PATTERN.fullmatch(one) or not any(fnmatchcase(name, one) for name in _NAMES):
            raise InputError(
                "endpoint.events", one or "events", "no event has such a name", "See pvm events names"
            )
    return list(dict.fromkeys(found))


def callback_id(job_id: str, url: str) -> uuid.UUID:
    """Identity of a job's callback."""
    return uuid.uuid5(ids.ROOT, f"callback|{job_id}|{url}")
