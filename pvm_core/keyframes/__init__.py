"""Keyframes: the sharpest frame of each shot of a video, with its time."""

from pvm_core.keyframes.choose import iter_keyframes
from pvm_core.keyframes.params import Keyframe, KeyframeParams, RejectedFrame, RejectReason

__all__ = ["Keyframe", "KeyframeParams", "RejectReason", "RejectedFrame", "iter_keyframes"]
