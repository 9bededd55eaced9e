"""How keyframes are chosen, and what is known of each sampled frame."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal

from pvm_core.ids import content_key
from pvm_core.images import FRAME_FORMAT, Rgb
from pvm_core.rules import Rules

#: Raised whenever the same parameters would choose other frames, so that stored sets are computed again.
_VERSION: Final = "2"

RejectReason = Literal["black", "flat", "blurred", "duplicate", "budget"]


@dataclass(frozen=True)
class KeyframeParams:
    """How keyframes are chosen.

    Attributes:
        look_s: seconds between sampled frames where something happens. A shot of one second that begins and
            ends out of focus is still sampled while it is sharp.
        max_gap_s: longest stretch, in seconds, that goes without a sampled frame, however still it is.
        per_minute, minimum, maximum: the budget, `per_minute` x length between `minimum` and `maximum`.
            It bounds further frames of a shot; the first frame of a shot is bound by `maximum` alone, spread
            over the length, so that a product shown for one second is kept.
        max_s: seconds of the video that are sampled.
        max_side: longest side of a kept frame, in pixels.
    """

    look_s: float = 0.3
    max_gap_s: float = 2.0
    per_minute: float = 40.0
    minimum: int = 8
    maximum: int = 400
    max_s: float = 1_800.0
    max_side: int = FRAME_FORMAT.max_side

    @property
    def key(self) -> str:
        """A short key of the method, its version and all values."""
        return content_key(
            "keyframes", _VERSION, *(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self))
        )

    @classmethod
    def from_rules(cls, rules: Rules) -> KeyframeParams:
        """The parameters that a job's rules ask for."""
        return cls(
            look_s=min(cls.look_s, rules.keyframe_max_gap_s),
            max_gap_s=rules.keyframe_max_gap_s,
            per_minute=rules.keyframes_per_minute,
            minimum=rules.keyframes_min,
            maximum=rules.keyframes_max,
            max_s=rules.video_max_s,
        )


@dataclass(frozen=True)
class Keyframe:
    """A kept frame.

    Attributes:
        ts: seconds from the start of the video, from pts.
        pts_ms: the same in whole milliseconds; unique within a video.
        shot: number of the continuous shot it belongs to, from 0; the frames of one shot are one piece of
            evidence.
        sharpness: >= 0, comparable within a shot only.
        rgb: uint8 (H, W, 3), upright, square pixels, longest side at most `KeyframeParams.max_side`.
        phash: `images.phash64` of rgb.
    """

    ts: float
    pts_ms: int
    shot: int
    sharpness: float
    rgb: Rgb
    phash: int


@dataclass(frozen=True)
class RejectedFrame:
    """A sampled frame that was not kept.

    Attributes:
        ts, pts_ms: as in `Keyframe`.
        reason: ``black``, ``flat`` (one colour), ``blurred`` (or a mix of two shots), ``duplicate`` (a kept
            frame shows the same), ``budget`` (the video has had its share).
        detail: the measurements behind the reason, for a person.
    """

    ts: float
    pts_ms: int
    reason: RejectReason
    detail: str
