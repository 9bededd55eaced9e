"""A job's analyses under several detectors, side by side, for the metadata of its assets."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

from pvm_attention.steps import JobAnalysis
from pvm_resources.store.attention import FaceSet, VideoAttention

#: Videos of a table.
_VIDEOS: Final = 50


@dataclass(frozen=True)
class Variant:
    """A job's analysis under one detector, by video."""

    detector: str
    found: Mapping[uuid.UUID, VideoAttention]
    sets: Mapping[uuid.UUID, FaceSet]

    def figures(self) -> dict[str, Any]:
        """What it found in all, and what it cost."""
        looked = sum(one.looked for one in self.sets.values())
        scores = [one.score for one in self.found.values() if one.score is not None]
        return {
            "videos": len(self.found),
            "frames looked at": looked,
            "frames with a face": sum(one.with_face for one in self.sets.values()),
            "processor seconds": round(sum(one.seconds_cpu for one in self.sets.values()), 1),
            "videos with a score": len(scores),
            "mean score": round(sum(scores) / len(scores), 4) if scores else None,
        }


def variants_of(analysis: JobAnalysis) -> list[Variant]:
    """The analyses of the job, the one that counts first."""
    attention, job_id = analysis.store.attention, analysis.job.job_id
    job = attention.job(job_id)
    states = sorted(job.variants.items(), key=lambda one: one[1]["key"] != job.attention_key) if job else []
    out = []
    for detector, state in states:
        sets = attention.sets(job_id, state["faces_key"])
        out.append(Variant(detector, attention.videos(job_id, state["key"]), sets))
    return out


def compared(analysis: JobAnalysis) -> dict[str, Any]:
    """Metadata: figures of each detector, and each video's score under each; nothing where there is one."""
    variants = [one for one in variants_of(analysis) if one.sets]
    if len(variants) < 2:
        return {}
    names = {video.video_id: video.given_name for video in analysis.store.videos.members(analysis.job.job_id)}
    return {
        "detectors": {one.detector: one.figures() for one in variants},
        "detectors by video": dg.MetadataValue.md(table(variants, names)),
    }


def table(variants: list[Variant], names: Mapping[uuid.UUID, str]) -> str:
    """Markdown: videos down, detectors across; the difference is that of the last from the first."""
    head = [*(one.detector for one in variants), "difference"]
    lines = [f"| video | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    for video, name in list(names.items())[:_VIDEOS]:
        scores = [_score(one.found.get(video)) for one in variants]
        shown = ["unknown" if score is None else f"{score:.3f}" for score in scores]
        first, last = scores[0], scores[-1]
        apart = "" if first is None or last is None else f"{last - first:+.3f}"
        cleaned = name.replace("|", " ")
        lines.append(f"| {cleaned} | {' | '.join([*shown, apart])} |")
    return "\n".join(lines)


def _score(found: VideoAttention | None) -> float | None:
    return None if found is None else found.score
