"""What must hold of an analysis. Nothing blocks: what is missing is named, and stays unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pvm_attention.steps import JobAnalysis

#: Share of samples with a plausible pose below which a video is named.
_MIN_POSED: Final = 0.5
#: Blinks a minute beyond which the measure is doubted; people blink 10 to 30 times (Bentivoglio 1997).
_MAX_BLINKS: Final = 60.0
#: Known seconds from which a rate of blinks says something.
_RATE_S: Final = 20.0


@dataclass(frozen=True)
class Outcome:
    """What a check saw; a WARN is shown only."""

    passed: bool
    summary: str
    severity: Literal["ERROR", "WARN"] = "WARN"
    figures: Mapping[str, Any] = field(default_factory=dict)


Examine = Callable[[JobAnalysis], Outcome]


def every_video_looked_at(analysis: JobAnalysis) -> Outcome:
    """Every video of the job was looked at to its end."""
    sets = analysis.store.attention.sets(analysis.job.job_id, analysis.faces_key)
    members = {
        video.video_id: video.given_name for video in analysis.store.videos.members(analysis.job.job_id)
    }
    missing = [name for video, name in members.items() if video not in sets]
    early = [members[video] for video, found in sets.items() if found.problem]
    passed = not missing and not early
    summary = f"{len(sets)} of {len(members)} videos looked at, {len(early)} of them not to the end"
    return Outcome(passed, summary, figures={"missing": missing[:20], "ended early": early[:20]})


def landmarks_stored(analysis: JobAnalysis) -> Outcome:
    """Every file of landmarks is in the media store."""
    sets = analysis.store.attention.sets(analysis.job.job_id, analysis.faces_key)
    keys = [key for found in sets.values() for key in found.chunks]
    lost = [key for key in keys if not analysis.media.exists(key)]
    return Outcome(
        not lost, f"{len(keys) - len(lost)} of {len(keys)} files there", "ERROR", {"lost": lost[:20]}
    )


def poses_plausible(analysis: JobAnalysis) -> Outcome:
    """Most faces have a plausible pose."""
    found = analysis.store.attention.series(analysis.job.job_id, analysis.faces_key, "head_pose").values()
    seen = [one.summary for one in found if one.summary["samples"]]
    poor = [s for s in seen if s["known"] < _MIN_POSED * s["samples"]]
    return Outcome(not poor, f"{len(seen) - len(poor)} of {len(seen)} videos with faces have poses")


def zones_whole(analysis: JobAnalysis) -> Outcome:
    """The shares of the zones sum to 1."""
    found = analysis.store.attention.series(analysis.job.job_id, analysis.faces_key, "gaze").values()
    shares = [one.summary["zones"] for one in found if one.summary["zones"]]
    wrong = [zones for zones in shares if abs(sum(zones.values()) - 1) > 0.01]
    return Outcome(not wrong, f"{len(shares) - len(wrong)} of {len(shares)} videos have whole zones", "ERROR")


def blink_rates_plausible(analysis: JobAnalysis) -> Outcome:
    """Nobody blinks more than once a second."""
    found = analysis.store.attention.series(analysis.job.job_id, analysis.faces_key, "blinks").values()
    rates = [
        track["per_minute"]
        for one in found
        for track in one.summary["tracks"].values()
        if track["per_minute"] is not None and track["known_s"] >= _RATE_S
    ]
    most = max(rates, default=0.0)
    return Outcome(most <= _MAX_BLINKS, f"at most {most:.0f} blinks a minute in {len(rates)} tracks")


def gaps_unknown(analysis: JobAnalysis) -> Outcome:
    """Scores lie in [0, 1], and a second without samples has none."""
    found = analysis.store.attention.videos(analysis.job.job_id, analysis.attention_key).values()
    seconds = [second for one in found for track in one.tracks for second in track["seconds"]]
    wrong = [s for s in seconds if (s[1] is not None and not (0 <= s[1] <= 1 and s[2] > 0))]
    unknown = sum(s[1] is None for s in seconds)
    return Outcome(not wrong, f"{len(seconds)} seconds, {unknown} of them unknown", "ERROR")


#: (asset, check, function).
CHECKS: Final[tuple[tuple[str, str, Examine], ...]] = (
    ("face_tracks", "every_video_looked_at", every_video_looked_at),
    ("face_landmarks", "landmarks_stored", landmarks_stored),
    ("head_pose", "poses_plausible", poses_plausible),
    ("gaze", "zones_whole", zones_whole),
    ("blinks", "blink_rates_plausible", blink_rates_plausible),
    ("attention", "gaps_unknown", gaps_unknown),
)
