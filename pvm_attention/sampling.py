"""Which frames of a video are looked at: by their own time stamps, never by their number."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from pvm_attention.rules import AttentionRules

#: A frame this share of the interval early serves the wanted moment: time stamps are rounded to the
#: container's clock (1 ms in Matroska), so that strict comparison would drop every second frame now and
#: then.
_EARLY: Final = 0.1


@dataclass
class FrameChooser:
    """Says of each frame, in order of time, whether it is analysed.

    Args:
        rules: the rates.
        fps: frames a second of the video, as its time stamps have it; 0 where not known.
    """

    rules: AttentionRules
    fps: float
    _last: float = field(default=-math.inf, init=False)

    def wants(self, ts: float, face: bool) -> bool:
        """Whether the frame at `ts` seconds is analysed; `face`: a face is being followed."""
        if face and self.every_frame:
            interval = 0.0
        else:
            interval = 1 / (self.rules.face_fps if face else self.rules.search_fps)
        if ts - self._last < interval * (1 - _EARLY):
            return False
        self._last = ts
        return True

    @property
    def every_frame(self) -> bool:
        """Whether every frame with a face is analysed: blinks can be measured."""
        return self.rules.blink_min_fps <= self.fps <= self.rules.every_frame_fps
