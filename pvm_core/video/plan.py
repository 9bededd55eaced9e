"""What is sampled of a video, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VideoInfo:
    """A video as its container and its first frame describe it.

    Attributes:
        duration_s: seconds.
        width, height: pixels as shown (rotation and pixel shape applied).
        rotation: degrees counter-clockwise, 0, 90, 180 or 270, by which the decoder's picture is turned.
        codec: the decoder's name, e.g. ``h264``.
    """

    duration_s: float
    width: int
    height: int
    rotation: int
    codec: str


@dataclass(frozen=True)
class SamplingPlan:
    """Which moments of a video are sampled.

    Attributes:
        step_s: seconds between sampled frames where something happens.
        max_gap_s: seconds between them where nothing does; at least `step_s`.
        max_s: seconds of the video that are sampled.
    """

    step_s: float
    max_gap_s: float
    max_s: float
