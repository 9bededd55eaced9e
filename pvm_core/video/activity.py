"""Where in a video something happens, told from the sizes and times of its packets."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low
from typing import Final

from pvm_core.video.plan import SamplingPlan

#: A segment is quiet where its frames between the key frames cost less than this share of the key frame's
#: bytes, per second in all and at most for one frame. Change costs bits: a product that enters a still scene
#: costs about its share of the picture, twice.
_QUIET_PER_SECOND: Final = 0.10
_QUIET_FRAME: Final = 0.05
#: In a quiet segment a frame of this many times the usual bytes brings something new, however plain it is
#: beside the key frame: a slide of a small product on white after a slide full of detail. Over slides of both
#: kinds in x264, x265, VP8, VP9, AV1 and MPEG-4 a new slide costs 20 times the usual and more.
_SURPRISE: Final = 8
_LEAST_BYTES: Final = 200
_LEAST_SHARE: Final = 0.01
#: So does a frame after a pause of this many seconds: screen recordings and slide shows of a varying rate
#: hold frames only where something changes.
_PAUSE_S: Final = 0.25
#: What is new may be seen this much later than its bytes come, seconds and frames: VP9 and AV1 code a coming
#: picture ahead (alternate reference frames, at most 25 to 32 frames), dissolves take their time.
_AHEAD_S: Final = 2.0
_AHEAD_FRAMES: Final = 32
#: A segment is sampled where it begins, or this share of a step after the last sampled frame.
_CLOSE: Final = 0.8
#: A frame this share of a step before one of the even moments of a stretch serves it.
_EVEN_EARLY: Final = 0.17


@dataclass(frozen=True)
class PacketFacts:
    """What is known of a packet undecoded: its time in seconds, its bytes, whether it is a key frame."""

    ts: float
    size: int
    key: bool


@dataclass(frozen=True)
class Activity:
    """Where between `begin` and `end`, in seconds, something happens.

    Attributes:
        busy: it does throughout.
        changes: times, ascending, of frames that bring something new.
        lasting_s: how long after each of them the picture may still be changing.
        pauses: single frames stay on screen for long.
    """

    begin: float
    end: float
    busy: bool
    changes: tuple[float, ...] = ()
    lasting_s: float = _AHEAD_S
    pauses: bool = False

    def next_moment(self, last: float, plan: SamplingPlan) -> float | None:
        """The first moment of this stretch to be sampled after `last`, the time of the last sampled frame.

        None where there is none before `end`.
        """
        if last < self.begin:
            # The first frame after a cut is seen however quiet the stretch is.
            due = max(self.begin, last + _CLOSE * plan.step_s)
        elif self.busy:
            due = self._even(last, plan.step_s)
        else:
            due = last + self._quiet_step(last, plan)
        return due if due < self.end else None

    def _even(self, last: float, step_s: float) -> float:
        """The next of the moments that divide the stretch evenly, at most `step_s` apart."""
        count = max(1, math.ceil((self.end - self.begin) / step_s - 1e-6))
        spacing = max((self.end - self.begin) / count, 1e-6)
        return self.begin + (math.floor((last + _EVEN_EARLY * spacing - self.begin) / spacing) + 1) * spacing

    def _quiet_step(self, last: float, plan: SamplingPlan) -> float:
        at = bisect_left(self.changes, last - self.lasting_s)
        coming = self.changes[at] if at < len(self.changes) else last + plan.max_gap_s
        return min(max(plan.step_s, coming - last), plan.max_gap_s)


def activity_of(packets: Sequence[PacketFacts], key_bytes: int, begin: float, end: float) -> Activity:
    """The activity of the packets between two key frames.

    Args:
        packets: in any order.
        key_bytes: of the key frame that they build on; 0 where it is not known.
    """
    rest = [packet.size for packet in packets if not packet.key]
    times = sorted(packet.ts for packet in packets)
    pauses = any(after - before >= _PAUSE_S for before, after in pairwise([*times, end]))
    loud = not rest or not key_bytes or max(rest) >= _QUIET_FRAME * key_bytes
    if loud or sum(rest) >= _QUIET_PER_SECOND * key_bytes * (end - begin):
        return Activity(begin, end, busy=True, pauses=pauses)
    surprise = max(_LEAST_BYTES, _LEAST_SHARE * key_bytes, _SURPRISE * median_low(rest))
    changes, before = [], begin
    for packet in sorted(packets, key=lambda packet: packet.ts):
        if not packet.key and (packet.size >= surprise or packet.ts - before >= _PAUSE_S):
            changes.append(packet.ts)
        before = packet.ts
    ahead = _AHEAD_FRAMES * (end - begin) / len(packets)
    return Activity(begin, end, False, tuple(changes), max(_AHEAD_S, ahead), pauses)
