"""The phase of a job, derived from its `.completed` events alone, whatever their order."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

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
