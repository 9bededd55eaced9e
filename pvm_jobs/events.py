"""Names of the events (design.md's canonical table) and the shape of those the graph writes."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

#: Requests of others over the bus. The first two make one job together: products and videos.
COLLECT: Final = "products.collect.request"
SEARCH: Final = "videos.search.request"
MATCH: Final = "match.request"
REQUESTS: Final = (COLLECT, SEARCH, MATCH)
PER_ITEM: Final = (
    "products.image.ready",
    "videos.keyframes.ready",
    "products.image.masked",
    "video.keyframes.masked",
    "image.embedding.ready",
    "image.keypoint.ready",
    "video.embedding.ready",
    "video.keypoint.ready",
    "match.result",
    "match.verdict",
    "video.attention.ready",
)
BATCH: Final = (
    "products.images.ready.batch",
    "videos.keyframes.ready.batch",
    "products.images.masked.batch",
    "video.keyframes.masked.batch",
)
PER_JOB: Final = (
    "products.collections.completed",
    "videos.collections.completed",
    "image.embeddings.completed",
    "image.keypoints.completed",
    "video.embeddings.completed",
    "video.keypoints.completed",
    "matchings.process.completed",
    "evidences.generation.completed",
    "attention.analysis.completed",
    "job.completed",
    "job.failed",
    "job.cancelled",
)
#: Of the attention analysis, which stands apart: a job without it is whole.
ATTENTION: Final = ("video.attention.ready", "attention.analysis.completed")
#: Of the living catalogue; they belong to no job.
CATALOGUE: Final = ("product.created", "product.updated", "product.deleted")
PHASES: Final = (
    "collection",
    "feature_extraction",
    "matching",
    "evidence",
    "completed",
    "failed",
    "cancelled",
)
#: Founding documents 1 and 3 spell these two in another way; both spellings name one event.
ALIASES: Final = MappingProxyType(
    {
        "products.images.ready": "products.image.ready",
        "video.keyframes.ready": "videos.keyframes.ready",
    }
)
_NAMES: Final = frozenset((*PER_ITEM, *BATCH, *PER_JOB))


def canonical(name: str) -> str:
    """The canonical name an event's name stands for; an unknown one is returned as it is."""
    return ALIASES.get(name, name)


@dataclass(frozen=True)
class Event:
    """One event for the outbox.

    Attributes:
        job_id: the job it reports on.
        name: one of the canonical names.
        item: what it reports on within the job (a uuid as text), "" for a per-job event. At most one event
            exists per (job_id, name, item), so a rerun never makes a second.
        payload: further fields of the event, JSON-serialisable.
        event_id: minted once, uuid4.

    Raises:
        ValueError: the name is not canonical, or a per-item event names no item.
    """

    job_id: str
    name: str
    item: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    event_id: uuid.UUID = field(default_factory=uuid.uuid4)

    def __post_init__(self) -> None:
        if self.name not in _NAMES:
            raise ValueError(f"{self.name!r} is not an event of this system")
        if self.name in PER_ITEM and not self.item:
            raise ValueError(f"{self.name} concerns one item and names none")
