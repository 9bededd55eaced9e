"""Thresholds and weights of the attention analysis."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AttentionRules:
    """How a face becomes a score.

    Attributes:
        weight_pose, weight_gaze, weight_eyes: weights of the three terms, >= 0, not all 0; they are
            divided by the sum of those that are known.
        face_fps: frames a second that are analysed where a face is; the blinks want every frame, so a
            video of at most `every_frame_fps` is analysed frame by frame there.
        every_frame_fps: frames a second up to which every frame is analysed where a face is.
        search_fps: frames a second that are searched for a face where none is.
        blink_min_fps: frames a second that a video needs for blinks. A blink lasts 100 to 400 ms.
        blink_max_yaw: degrees; beyond them the far eye is foreshortened and the ratio means nothing.
        min_coverage: share of a second's samples with a known pose below which its score is unknown.
    """

    weight_pose: float = 0.4
    weight_gaze: float = 0.4
    weight_eyes: float = 0.2
    face_fps: float = 10.0
    every_frame_fps: float = 61.0
    search_fps: float = 4.0
    blink_min_fps: float = 25.0
    blink_max_yaw: float = 20.0
    min_coverage: float = 0.5
