"""The attention of a video's presenter as a curve for the review page; a gap is drawn as a gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pvm_resources.store.attention import VideoAttention, VideoVariant


@dataclass(frozen=True)
class AttentionCurve:
    """A curve in a box of `seconds` x 100.

    Attributes:
        score: the presenter's mean, [0, 1]; None: unknown.
        coverage: share of known seconds.
        lines: points of each stretch without a gap, as SVG has them; y is 100 less the score in per cent.
        at: second of the match in the box.
        detector: which detector found the faces; "" where there is one alone.
    """

    score: float | None
    coverage: float
    seconds: int
    lines: tuple[str, ...]
    at: float
    detector: str = ""


def curves_of(variants: Sequence[VideoVariant], ts: float) -> list[AttentionCurve]:
    """The presenter's curve under each detector, the one that counts first.

    Args:
        variants: of one video, see `Attention.variants`.
        ts: second of a match.
    """
    made = [(one.detector, curve_of(one.found, ts)) for one in variants]
    found = [(detector, curve) for detector, curve in made if curve is not None]
    return [replace(curve, detector=detector if len(found) > 1 else "") for detector, curve in found]


def curve_of(found: VideoAttention | None, ts: float) -> AttentionCurve | None:
    """The presenter's curve with the second `ts` of a match; None where there is no presenter."""
    if found is None or found.presenter is None:
        return None
    track = next((one for one in found.tracks if one["track"] == found.presenter), None)
    if track is None or not track["seconds"]:
        return None
    seconds = max(int(track["seconds"][-1][0]) + 1, int(ts) + 1)
    return AttentionCurve(found.score, found.coverage, seconds, _lines(track["seconds"]), ts)


def _lines(rows: list[list[Any]]) -> tuple[str, ...]:
    """A stretch goes from the beginning of its first second to the end of its last, level within each."""
    lines: list[list[str]] = []
    last = None
    for second, score, *_ in rows:
        if score is None:
            continue
        if second - 1 != last:
            lines.append([])
        y = f"{100 - 100 * score:.1f}"
        lines[-1] += [f"{second},{y}", f"{second + 1},{y}"]
        last = second
    return tuple(" ".join(points) for points in lines)
