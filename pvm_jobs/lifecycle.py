"""The life cycle of a job: its statuses, their order, and the phase that follows from its events."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final, Literal

JobStatus = Literal["queued", "running", "completed", "failed", "cancelled"]

ENDED: Final[tuple[JobStatus, ...]] = ("completed", "failed", "cancelled")
#: Status -> from which it may be reached. A run starts a job again from any; only a job that is open can end.
_FROM: Final[Mapping[JobStatus, tuple[JobStatus, ...]]] = MappingProxyType(
    {
        "queued": ENDED,
        "running": ("queued", "running", *ENDED),
        "completed": ("queued", "running"),
        "failed": ("queued", "running"),
        "cancelled": ("queued", "running"),
    }
)
#: (the phase that ends, the events that must all have come), in order; founding document 2.
BARRIERS: Final = (
    ("collection", ("products.collections.completed", "videos.collections.completed")),
    (
        "feature_extraction",
        (
            "image.embeddings.completed",
            "video.embeddings.completed",
            "image.keypoints.completed",
            "video.keypoints.completed",
        ),
    ),
    ("matching", ("matchings.process.completed",)),
    ("evidence", ("evidences.generation.completed",)),
)


def derive_phase(names: Collection[str]) -> str:
    """The phase after the events `names`: the first whose barrier is not complete, else ``completed``.

    Barriers stand in sequence: an event of a later phase does not end an earlier one. ``job.failed`` and
    ``job.cancelled`` do not count here: the job's status says them, and a rerun takes them back.
    """
    for phase, needed in BARRIERS:
        if not all(name in names for name in needed):
            return phase
    return "completed"


def may_become(status: JobStatus, following: JobStatus) -> bool:
    """True where a job of that status may change to `following`."""
    return status in _FROM[following]


def phase_of(status: JobStatus, names: Collection[str]) -> str:
    """The phase of a job of that status with the `.completed` events `names`."""
    return status if status in ENDED else derive_phase(names)
