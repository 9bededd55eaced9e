"""Attention in [0, 1], by second and track: from pose, gaze and eyes. What is not known is unknown, never
low."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pvm_attention.gaze import Gaze
from pvm_attention.head_pose import HeadPose
from pvm_attention.rules import AttentionRules

#: Degrees of the head from the camera up to which a face is turned to it, and from which it is not: the
#: cone of direct gaze is about 9 degrees wide at each side (Gamer and Hecht 2007), and half profiles begin
#: at 45.
_FACING: Final = 10.0
_NOT_FACING: Final = 45.0
#: What a zone says of looking at the viewer: a presenter looks down at what she shows, which is half of it.
_ZONE_VALUE: Final = {"at_camera": 1.0, "down": 0.5, "left": 0.25, "right": 0.25, "up": 0.25, "away": 0.0}


@dataclass(frozen=True)
class Sample:
    """One face at one moment.

    Attributes:
        ts: seconds.
        pose: None where none was plausible.
        gaze: None where it is not known.
        eyes_open: opening of the eyes over the person's own, [0, 1]; None where it is not known.
    """

    ts: float
    pose: HeadPose | None
    gaze: Gaze | None
    eyes_open: float | None


@dataclass(frozen=True)
class SecondScore:
    """Attention of one face in one second.

    Attributes:
        second: it starts at.
        score: [0, 1]; None: unknown.
        coverage: share of the second's samples with a known pose, [0, 1].
        pose, gaze, eyes: the terms; None where unknown.
    """

    second: int
    score: float | None
    coverage: float
    pose: float | None
    gaze: float | None
    eyes: float | None


@dataclass(frozen=True)
class TrackScore:
    """Attention of one face over its track.

    Attributes:
        score: mean of the known seconds; None where there is none.
        coverage: known seconds over seconds of the track.
        confidence: coverage times the mean confidence of its gaze, [0, 1].
    """

    seconds: tuple[SecondScore, ...]
    score: float | None
    coverage: float
    confidence: float


def facing(pose: HeadPose) -> float:
    """1 where the head is turned to the camera, falling evenly to 0 at 45 degrees."""
    away = float(np.hypot(pose.yaw, pose.pitch))
    return float(np.clip((_NOT_FACING - away) / (_NOT_FACING - _FACING), 0, 1))


def looking(gaze: Gaze) -> float:
    """What the zone is worth, drawn to the middle by the lack of confidence: 0.5 + confidence (value -
    0.5)."""
    return 0.5 + gaze.confidence * (_ZONE_VALUE[gaze.zone] - 0.5)


def score_track(samples: Sequence[Sample], rules: AttentionRules) -> TrackScore:
    """Attention by second and over all of one track; `samples` in order of time."""
    by_second: dict[int, list[Sample]] = {}
    for sample in samples:
        by_second.setdefault(int(sample.ts), []).append(sample)
    if not by_second:
        return TrackScore((), None, 0.0, 0.0)
    every = range(min(by_second), max(by_second) + 1)
    seconds = tuple(_second(at, by_second.get(at, []), rules) for at in every)
    known = [s.score for s in seconds if s.score is not None]
    coverage = len(known) / len(seconds)
    trust = [s.gaze.confidence for s in samples if s.gaze is not None]
    confidence = coverage * float(np.mean(trust)) if trust else 0.0
    return TrackScore(seconds, float(np.mean(known)) if known else None, coverage, confidence)


def _second(at: int, samples: Sequence[Sample], rules: AttentionRules) -> SecondScore:
    posed = [s.pose for s in samples if s.pose is not None]
    coverage = len(posed) / len(samples) if samples else 0.0
    if coverage < rules.min_coverage or not posed:
        return SecondScore(at, None, coverage, None, None, None)
    pose = _mean([facing(p) for p in posed])
    gaze = _mean([looking(s.gaze) for s in samples if s.gaze is not None])
    eyes = _mean([s.eyes_open for s in samples if s.eyes_open is not None])
    weighted = [
        (weight, term)
        for weight, term in ((rules.weight_pose, pose), (rules.weight_gaze, gaze), (rules.weight_eyes, eyes))
        if term is not None
    ]
    total = sum(weight for weight, _ in weighted)
    score = sum(weight * term for weight, term in weighted) / total if total > 0 else None
    return SecondScore(at, score, coverage, pose, gaze, eyes)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
