"""What every source of products or videos offers, and the records it answers with.

A source never raises for a fault of its own side (no credentials, a limit, a server that is down): it answers
with a status and what it could collect, so that one source failing does not fail a job another can feed.
It raises `InputError` where the user's own input is unusable as a whole: a catalogue that cannot be read.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from pvm_core.errors import Problem
from pvm_core.product_facts import Facts
from pvm_jobs.source_policy import SourcePolicy

SourceStateName = Literal["ok", "partial", "not_configured", "not_eligible", "rate_limited", "failed"]


@dataclass(frozen=True)
class SourceStatus:
    """The state of a source after a collection.

    Attributes:
        source: its name.
        state: ``partial`` where some items failed.
        reason: why it is not ``ok``, one clause; "" where it is.
        remedy: what the user can do; "" where nothing is needed.
    """

    source: str
    state: SourceStateName
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Query:
    """What a job asks a source for; file sources ignore it.

    Attributes:
        industry: the industry's name as typed.
        terms: search phrases per language code, e.g. ``{"en": ("ergonomic pillow",)}``.
        limit: most records wanted; None = all there are.
        recency_days: videos younger than this only; None = any age.
    """

    industry: str
    terms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    limit: int | None = None
    recency_days: int | None = None


@dataclass(frozen=True)
class PictureRef:
    """A picture of a product, not read yet.

    Attributes:
        ref: as the source gave it: a path or a URL. Shown to the user and kept in the database.
        path: the file, resolved and inside its catalogue's folder; None for a URL.
    """

    ref: str
    path: Path | None = None


@dataclass(frozen=True)
class ProductRecord:
    """A product as its source describes it.

    Attributes:
        source: the source's name.
        namespace: `external_id` is unique within it.
        external_id: the id as given.
        title, brand, url: whole, as given; "" where the source has none.
        pictures: the gallery in the source's order, without repeats, at least one.
        row: where the source has it (a line of a file), for messages; 0 where that means nothing.
        price, currency: a plain decimal and an ISO 4217 code (`pvm_core.money`); "" where unknown.
        facts: description, category, availability, attributes, time of change.
        product_id: of one that is stored already, whose row stays as it is; None for what a source says.
    """

    source: str
    namespace: str
    external_id: str
    title: str
    brand: str
    url: str
    pictures: tuple[PictureRef, ...]
    row: int = 0
    price: str = ""
    currency: str = ""
    facts: Facts = field(default_factory=Facts)
    product_id: uuid.UUID | None = None


@dataclass(frozen=True)
class VideoRecord:
    """A video as its source describes it.

    Attributes:
        source: the source's name.
        platform: where it lives: ``file``, ``youtube``, ...
        external_id: unique within the platform; for a file its path.
        given_name: what results call it; unique within one answer.
        title, url: whole, as given; "" where there is none.
        path: the file, where it is on this machine already.
        size: bytes; None where unknown.
        modified_ns: the file's time of change in nanoseconds since the epoch; None where unknown.
        duration_s: seconds, where the source says.
        published_at: when it was published, where the source says.
        channel: who published it, as the platform names them; "" where the source does not say.
        video_id: of one that is stored already and is not fetched; source_ref: where its file was.
    """

    source: str
    platform: str
    external_id: str
    given_name: str
    title: str = ""
    url: str = ""
    path: Path | None = None
    size: int | None = None
    modified_ns: int | None = None
    duration_s: float | None = None
    published_at: datetime | None = None
    channel: str = ""
    video_id: uuid.UUID | None = None
    source_ref: str = ""


Record = TypeVar("Record", ProductRecord, VideoRecord)


@dataclass(frozen=True)
class Collected(Generic[Record]):
    """A source's answer.

    Attributes:
        status: of the source.
        records: what it found, in a stable order.
        problems: what failed, one per item.
    """

    status: SourceStatus
    records: tuple[Record, ...]
    problems: tuple[Problem, ...] = ()


class Answers(Protocol):
    """What a source was answered in this job so far, so that a rerun asks nothing twice.

    An answer is stored the moment it has come, in a transaction of its own.
    """

    def get(self, key: str) -> Any | None:
        """The stored answer (JSON); None where there is none or it is older than the policy allows."""
        ...

    def put(self, key: str, answer: Any) -> None:
        """Stores an answer."""
        ...


@runtime_checkable
class Source(Protocol[Record]):
    """What product and video sources have in common."""

    @property
    def name(self) -> str:
        """The source's name in commands, statuses and rows."""
        ...

    @property
    def policy(self) -> SourcePolicy:
        """What its terms allow, with what this machine sets; no limits for the user's own material."""
        ...

    def collect(self, query: Query) -> Collected[Record]:
        """Records for the query; videos are not fetched yet.

        Raises:
            InputError: the user's own input cannot be used as a whole.
        """
        ...


@runtime_checkable
class ProductSource(Source[ProductRecord], Protocol):
    """Products with their picture galleries."""


@runtime_checkable
class VideoSource(Source[VideoRecord], Protocol):
    """Videos."""

    def fetch(self, record: VideoRecord, folder: Path) -> Path:
        """The video as a whole file on this machine, downloaded into `folder` where it is elsewhere.

        Raises:
            MediaError: it cannot be downloaded; `retryable` where a later try may succeed.
        """
        ...

    def details(self, record: VideoRecord) -> VideoRecord:
        """The record with what fetching it has added since; sends no request."""
        ...

    def cancel(self) -> None:
        """Ends what other threads are doing with this source; what was downloaded stays for the next try."""
        ...
