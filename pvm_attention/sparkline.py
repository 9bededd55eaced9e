"""Curves as text, for the Dagster UI: no picture of a face enters the event log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pvm_resources.store.attention import VideoAttention

_BARS: Final = "▁▂▃▄▅▆▇█"
_UNKNOWN: Final = "·"
#: Videos of a preview, and characters of a curve.
_VIDEOS: Final = 20
_WIDTH: Final = 60


def curve_preview(found: Sequence[VideoAttention]) -> str:
    """A markdown table of videos with the presenter's score and curve."""
    lines = ["| video | score | coverage | by second |", "|---|---|---|---|"]
    for one in found[:_VIDEOS]:
        score = "unknown" if one.score is None else f"{one.score:.2f}"
        lines.append(f"| {one.video_id} | {score} | {one.coverage:.0%} | `{_presenters(one)}` |")
    return "\n".join(lines)


def _presenters(one: VideoAttention) -> str:
    for track in one.tracks:
        if track["track"] == one.presenter:
            return curve([second[1] for second in track["seconds"]])
    return _UNKNOWN


def curve(scores: Sequence[Any]) -> str:
    """Scores in [0, 1] as bars, a dot for unknown; thinned evenly to at most 60."""
    step = max(1, -(-len(scores) // _WIDTH))
    return "".join(_bar(score) for score in scores[::step])


def _bar(score: float | None) -> str:
    return _UNKNOWN if score is None else _BARS[min(len(_BARS) - 1, int(score * len(_BARS)))]
