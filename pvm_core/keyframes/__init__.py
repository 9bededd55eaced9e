"""Keyframes: the sharpest frame of each shot of a video, with its time."""

from pvm_core.keyframes.params import Keyframe, KeyframeParams, RejectedFrame, RejectReason
from pvm_core.keyframes.selection import iter_keyframes

__all__ = ["Keyframe", "KeyframeParams", "RejectReason", "RejectedFrame", "iter_keyframes"]
