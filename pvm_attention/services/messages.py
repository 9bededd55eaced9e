"""The generated messages: their modules build themselves on import, so no type checker knows them."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def _generated(name: str) -> Any:
    return import_module(f"pvm_attention.services.generated.{name}_pb2")


face_m = _generated("face_detection")
landmark_m = _generated("landmark_detection")
pose_m = _generated("head_pose")
gaze_m = _generated("gaze_tracking")
blink_m = _generated("blink_detection")
attention_m = _generated("attention")
