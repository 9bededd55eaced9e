"""What is measured of a video's stored landmarks: head pose, gaze, eyes; and the attention made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pvm_attention.blinks import BlinkSeries, baseline, find_blinks
from pvm_attention.eyes import eye_openness
from pvm_attention.gaze import ZONES, Gaze, gaze_of
from pvm_attention.head_pose import HeadPose, solve_pose
from pvm_attention.rules import AttentionRules
from pvm_attention.sample_store import FaceChunk
from pvm_attention.scoring import Sample, TrackScore, score_track
from pvm_core.arrays import F32, Bools

Arrays = dict[str, NDArray[Any]]
#: Raised where the same landmarks would give other series.
METHODS: Final = {"head_pose": "1", "gaze": "1", "blinks": "1"}


def pose_series(chunks: Iterable[FaceChunk]) -> Arrays:
    """``ts``, ``track`` and ``pose`` (N, 4): yaw, pitch, roll in degrees, error; nan where refused."""
    return _series(chunks, "pose", 4, _pose_row)


def gaze_series(chunks: Iterable[FaceChunk]) -> Arrays:
    """``ts``, ``track`` and ``gaze`` (N, 2): number in `gaze.ZONES`, confidence; nan where unknown."""
    return _series(chunks, "gaze", 2, _gaze_row)


def eye_series(chunks: Iterable[FaceChunk]) -> Arrays:
    """``ts``, ``track`` and ``eyes`` (N, 2): aspect ratio, yaw in degrees; nan where that is unknown."""
    return _series(chunks, "eyes", 2, _eyes_row)


def pose_summary(found: Arrays) -> dict[str, Any]:
    """Figures of a pose series."""
    pose = found["pose"]
    known = ~np.isnan(pose[:, 0])
    if not known.any():
        return {"samples": len(pose), "known": 0}
    yaw, pitch = pose[known, 0], pose[known, 1]
    return {
        "samples": len(pose),
        "known": int(known.sum()),
        "median_yaw": round(float(np.median(yaw)), 1),
        "median_pitch": round(float(np.median(pitch)), 1),
        "frontal_share": round(float(np.mean(np.hypot(yaw, pitch) < 20)), 3),
        "median_error": round(float(np.median(pose[known, 3])), 4),
    }


def gaze_summary(found: Arrays) -> dict[str, Any]:
    """Figures of a gaze series: the share of each zone among what is known."""
    gaze = found["gaze"]
    known = ~np.isnan(gaze[:, 0])
    zones = gaze[known, 0].astype(int)
    shares = (
        {zone: round(float(np.mean(zones == n)), 3) for n, zone in enumerate(ZONES)} if known.any() else {}
    )
    return {"samples": len(gaze), "known": int(known.sum()), "zones": shares}


def blink_summary(found: Arrays, fps: float, rules: AttentionRules) -> dict[str, Any]:
    """Blinks, closures and PERCLOS of each track."""
    tracks = {}
    for number in sorted(set(found["track"].tolist())):
        series = track_blinks(found, number, fps, rules)
        tracks[str(number)] = {
            **asdict(series),
            "blinks": len(series.blinks),
            "closures": len(series.closures),
        }
    return {"fps": round(fps, 2), "measurable": fps >= rules.blink_min_fps, "tracks": tracks}


def track_blinks(found: Arrays, track: int, fps: float, rules: AttentionRules) -> BlinkSeries:
    """Blinks of one track of an `eye_series`."""
    rows = found["track"] == track
    ratios, yaw = found["eyes"][rows, 0], found["eyes"][rows, 1]
    return find_blinks(found["ts"][rows], ratios, _seen_from_the_front(yaw, fps, rules).tolist())


def _seen_from_the_front(yaw: F32, fps: float, rules: AttentionRules) -> Bools:
    if fps < rules.blink_min_fps:
        return np.zeros(yaw.shape, bool)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(yaw) < rules.blink_max_yaw)


@dataclass(frozen=True)
class TrackAttention:
    """One track's attention and blinks."""

    track: int
    first_s: float
    last_s: float
    score: TrackScore
    blinks: BlinkSeries

    def to_json(self) -> dict[str, Any]:
        """As it is stored: every figure and the curve by second, null where unknown."""
        return {
            "track": self.track,
            "first_s": round(self.first_s, 3),
            "last_s": round(self.last_s, 3),
            "score": _rounded(self.score.score),
            "coverage": _rounded(self.score.coverage),
            "confidence": _rounded(self.score.confidence),
            "blinks": [[round(b.start_s, 3), round(b.end_s, 3)] for b in self.blinks.blinks],
            "blinks_per_minute": _rounded(self.blinks.per_minute),
            "perclos": _rounded(self.blinks.perclos),
            "perclos_window_s": round(self.blinks.perclos_window_s, 2),
            "seconds": [
                [s.second, *map(_rounded, (s.score, s.coverage, s.pose, s.gaze, s.eyes))]
                for s in self.score.seconds
            ],
        }


def attention_of(
    pose: Arrays, gaze: Arrays, eyes: Arrays, fps: float, rules: AttentionRules
) -> list[TrackAttention]:
    """The attention of every track of a video.

    Raises:
        ValueError: the series are not of the same samples.
    """
    for other in (gaze, eyes):
        if not np.array_equal(pose["ts"], other["ts"]) or not np.array_equal(pose["track"], other["track"]):
            raise ValueError("pose, gaze and eyes are not of the same samples")
    return [_track(number, pose, gaze, eyes, fps, rules) for number in sorted(set(pose["track"].tolist()))]


def _track(
    number: int, pose: Arrays, gaze: Arrays, eyes: Arrays, fps: float, rules: AttentionRules
) -> TrackAttention:
    rows = pose["track"] == number
    ts, ratios = pose["ts"][rows], eyes["eyes"][rows, 0]
    open_ = np.clip(ratios / np.maximum(baseline(ts, ratios), 1e-6), 0, 1) if ts.size else ratios
    front = np.abs(np.nan_to_num(eyes["eyes"][rows, 1], nan=90.0)) < rules.blink_max_yaw
    samples = [
        Sample(
            float(ts[n]),
            None if np.isnan(p[0]) else HeadPose(*map(float, p)),
            None if np.isnan(g[0]) else Gaze(ZONES[int(g[0])], float(g[1])),
            float(open_[n]) if front[n] else None,
        )
        for n, (p, g) in enumerate(zip(pose["pose"][rows], gaze["gaze"][rows], strict=True))
    ]
    scored = score_track(samples, rules)
    return TrackAttention(number, float(ts[0]), float(ts[-1]), scored, track_blinks(eyes, number, fps, rules))


def presenter_of(tracks: Sequence[TrackAttention], areas: dict[int, float]) -> TrackAttention | None:
    """The presenter: the track with the greatest size times time on screen.

    Args:
        areas: track -> mean share of the picture that its box covers.
    """
    weight = lambda t: areas.get(t.track, 0.0) * (t.last_s - t.first_s)  # noqa: E731
    return max(tracks, key=weight, default=None)


def _series(
    chunks: Iterable[FaceChunk], name: str, columns: int, row: Callable[[F32, int, int], Sequence[float]]
) -> Arrays:
    ts, tracks, values = [], [], []
    for chunk in chunks:
        ts.append(chunk.ts)
        tracks.append(chunk.track)
        values.append(np.array([row(p, chunk.width, chunk.height) for p in chunk.points], np.float32))
    if not ts:
        return {"ts": np.zeros(0), "track": np.zeros(0, np.intp), name: np.zeros((0, columns), np.float32)}
    return {"ts": np.concatenate(ts), "track": np.concatenate(tracks), name: np.concatenate(values)}


def _pose_row(points: F32, width: int, height: int) -> Sequence[float]:
    pose = solve_pose(points, width, height)
    return [np.nan] * 4 if pose is None else [pose.yaw, pose.pitch, pose.roll, pose.error]


def _gaze_row(points: F32, width: int, height: int) -> Sequence[float]:
    pose = solve_pose(points, width, height)
    gaze = gaze_of(points, pose) if pose else None
    return [np.nan] * 2 if gaze is None else [ZONES.index(gaze.zone), gaze.confidence]


def _eyes_row(points: F32, width: int, height: int) -> Sequence[float]:
    pose = solve_pose(points, width, height)
    return [eye_openness(points), np.nan if pose is None else pose.yaw]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
