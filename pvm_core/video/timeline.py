"""Times of packets, made to run on from the start of the video whatever the file writes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

#: Jumps of a packet's time that no pause of a camera explains, seconds: FFmpeg's own limits, for formats
#: whose times may restart (`-dts_delta_threshold`) and for the others (`-dts_error_threshold`; ffmpeg.html,
#: "Advanced options").
RESTART_S: Final = 10.0
ABSURD_S: Final = 108_000.0
#: How far a key frame's time may lie before that of an earlier packet, seconds: encoders show frames in
#: another order than they code them, but never a key frame before what was coded ahead of it.
_BACK_S: Final = 0.5
#: Seconds that a packet lasts where neither it nor the stream says.
_USUAL_S: Final = 0.04


class Timeline:
    """Rewrites the times of one stream's packets, in the order they are read.

    A time that restarts (files joined end to end) or jumps beyond reason goes on where the stream had come
    to.

    Args:
        stream: the stream (`av.VideoStream` or another).
        start_s: the time, in seconds, at which the video begins.
        restarts: whether the container's times may restart within the file.
    """

    def __init__(self, stream: Any, start_s: float, *, restarts: bool) -> None:
        base = Fraction(stream.time_base or Fraction(1, 1_000_000))
        rate = getattr(stream, "average_rate", None)
        self._step = max(1, round((1 / Fraction(rate) if rate else _USUAL_S) / base))
        self._jump = round((RESTART_S if restarts else ABSURD_S) / base)
        self._back = max(round(_BACK_S / base), 2 * self._step)
        self._shift = 0
        self._end = round(start_s / base)
        self._latest: int | None = None

    def place(self, packet: Any) -> int:
        """Sets the packet's times; where the stream has come to with it, in ticks of the stream.

        A packet without any time follows the one before it.
        """
        if packet.pts is None and packet.dts is None:
            packet.dts = self._end - self._shift
        shown = packet.pts if packet.pts is not None else packet.dts
        if self._jumps(packet, shown + self._shift):
            self._shift = self._end - shown
        if packet.pts is not None:
            packet.pts += self._shift
        if packet.dts is not None:
            packet.dts += self._shift
        shown += self._shift
        self._latest = shown if self._latest is None else max(self._latest, shown)
        self._end = max(self._end, shown + min(packet.duration or self._step, self._jump))
        return self._end

    def _jumps(self, packet: Any, shown: int) -> bool:
        if abs(shown - self._end) > self._jump:
            return True
        return packet.is_keyframe and self._latest is not None and shown < self._latest - self._back
