"""Choosing keyframes: sampled frames form shots, shots groups of like frames; each keeps its sharpest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pvm_core.errors import MediaError
from pvm_core.images import hamming, phash64
from pvm_core.keyframes.params import Keyframe, KeyframeParams, RejectedFrame, RejectReason
from pvm_core.keyframes.sampling import (
    Measure,
    blur,
    colour_overlap,
    is_dissolve,
    measure,
    ncc_align,
    replaced,
)
from pvm_core.video import SampledFrame, SamplingPlan, iter_sampled_frames, probe

#: Luma under which a frame is black (video black is 16), and range of luma under which it is one colour.
_BLACK: Final = 40.0
_FLAT: Final = 16.0
#: Re-blur measure above which nothing can be recognised: real photos measure 0.15 to 0.40, the same ones out
#: of focus 0.59 and more.
_BLURRED: Final = 0.55
#: Two frames belong to different shots where colour overlap plus this share of likeness stays under the line,
#: unless their shapes agree (a lamp switched on). On cut photo clips the sum is below 0.80 across cuts and
#: above 0.88 within shots, hand-held ones included. Where in doubt the shot goes on: two shots taken for one
#: lose a little evidence, one taken for two counts it twice.
_CUT_LINE: Final = 0.84
_CUT_SHARE: Final = 0.35
_CUT_LIKENESS: Final = 0.90
#: Local change (`ncc_align`, levels of luma) between two frames at which a camera is steady; that starts a
#: new group at once where it was; and that starts one, against the group's first frame, once the group is old
#: enough.
_STEADY: Final = 8.0
_SUDDEN: Final = 20.0
_CHANGED: Final = 24.0
_GROUP_S: Final = 1.0
#: A picture that stood still and gives way to one of which at least this share is new (`replaced`) ends its
#: shot, on whatever background: between slides of packs of one design on white the share is 0.4 to 0.8,
#: within the shots of the measuring case at most 0.26.
_NEW_SLIDE: Final = 0.33
#: A frame that was on screen alone for this long, seconds, stood still.
_HELD_S: Final = 0.5
#: A group gives its frame after this long even if nothing changes much.
_HOLD_S: Final = 1.2
#: A shot of at most this many frames may be a dissolve from the one before it to the one after.
_DISSOLVE_FRAMES: Final = 2
#: Frames of the budget that third and later frames of a shot must leave.
_RESERVE: Final = 2
#: A frame is a duplicate of a kept one below this local change and within these bits of pHash.
_SAME_CHANGE: Final = 8.0
_SAME_BITS: Final = 8


def iter_keyframes(
    path: str | Path, params: KeyframeParams | None = None
) -> Iterator[Keyframe | RejectedFrame]:
    """Kept and rejected frames of the video at `path`, as they are decided.

    Memory holds two segments of the file (see `video`), a few decoded frames and some kilobytes for each kept
    one.

    Raises:
        MediaError: as `video.iter_sampled_frames`. Frames of a truncated file come first, the error last.
    """
    params = params or KeyframeParams()
    length = min(probe(path).duration_s, params.max_s)
    chooser = _Chooser(params.max_side, _Budget(params, length))
    plan = SamplingPlan(step_s=params.look_s, max_gap_s=params.max_gap_s, max_s=params.max_s)
    try:
        for frame in iter_sampled_frames(path, plan):
            yield from chooser.see(frame, measure(frame))
    except MediaError:
        yield from chooser.finish()
        raise
    yield from chooser.finish()


@dataclass
class _Budget:
    """How many frames a video may give by a point in time."""

    params: KeyframeParams
    length_s: float
    kept: int = 0

    def allows(self, ts: float, kept_in_shot: int) -> bool:
        """Whether a frame at `ts`, of a shot that has given `kept_in_shot`, may still be kept.

        The first frame of a shot (and of an event within it) is bound by `maximum` alone, spread over the
        length; further ones by the video's share so far.
        """
        done = min(1.0, ts / self.length_s) if self.length_s > 0 else 1.0
        if kept_in_shot == 0:
            return self.kept <= self.params.maximum * done and self.kept < self.params.maximum
        share = self.params.per_minute * self.length_s / 60
        total = min(max(share, self.params.minimum), self.params.maximum)
        # A shot that has had several leaves room for the second frames of the shots to come.
        reserve = min(kept_in_shot - 1, _RESERVE)
        return self.kept + reserve <= total * done and self.kept < total


@dataclass
class _Group:
    """A run of alike frames within a shot.

    `event`: it began with something coming or going.
    """

    begin: float
    anchor: Measure
    best: SampledFrame
    best_measure: Measure
    event: bool = False

    def outlived(self, frame: SampledFrame, seen: Measure) -> bool:
        age = frame.ts - self.begin
        return age >= _HOLD_S or (age >= _GROUP_S and ncc_align(self.anchor, seen)[1] > _CHANGED)

    def add(self, frame: SampledFrame, seen: Measure) -> None:
        if seen.sharpness > self.best_measure.sharpness:
            self.best, self.best_measure = frame, seen


@dataclass
class _Chooser:
    """What has been seen of one video so far; `still`: nothing had changed by its last frame."""

    max_side: int
    budget: _Budget
    shot: int = -1
    frames_in_shot: int = 0
    kept_in_shot: int = 0
    group: _Group | None = None
    last: Measure | None = None
    last_ts: float = 0.0
    still: bool = False
    before_shot: Measure | None = None
    kept: list[Measure] = field(default_factory=list)
    in_dark: bool = False

    def see(self, frame: SampledFrame, seen: Measure) -> Iterator[Keyframe | RejectedFrame]:
        unusable = _unusable(frame, seen)
        if unusable is not None:
            # A second of black is one finding, not one for every frame of it.
            if not self.in_dark:
                yield unusable
            self.in_dark = True
            return
        self.in_dark = False
        likeness, change = ncc_align(self.last, seen) if self.last else (-1.0, 255.0)
        steady = self._was_steady(frame)
        sudden = steady and change > _SUDDEN
        slide = steady and change > _STEADY
        if self.last is None or _is_cut(likeness, self.last, seen, slide=slide):
            sudden = False
            yield from self._close_group(after=seen)
            self.before_shot, self.shot = self.last, self.shot + 1
            self.frames_in_shot = self.kept_in_shot = 0
        elif self.group is not None and (sudden or self.group.outlived(frame, seen)):
            yield from self._close_group(after=None)
        if self.group is None:
            self.group = _Group(frame.ts, seen, frame, seen, event=sudden)
        else:
            self.group.add(frame, seen)
        self.frames_in_shot += 1
        self.still = change < _STEADY
        self.last, self.last_ts = seen, frame.ts

    def _was_steady(self, frame: SampledFrame) -> bool:
        """Whether the picture before `frame` stood still."""
        return self.still or frame.ts - self.last_ts > _HELD_S

    def finish(self) -> Iterator[Keyframe | RejectedFrame]:
        yield from self._close_group(after=None)

    def _close_group(self, after: Measure | None) -> Iterator[Keyframe | RejectedFrame]:
        group, self.group = self.group, None
        if group is None:
            return
        frame, seen = group.best, group.best_measure
        brief = self.frames_in_shot <= _DISSOLVE_FRAMES and after is not None
        if brief and self.before_shot and after and is_dissolve(self.before_shot, seen, after):
            yield _reject(frame, "blurred", "a mix of the shots before and after it")
            return
        blurred = blur(frame)
        if blurred > _BLURRED:
            yield _reject(frame, "blurred", f"re-blur measure {blurred:.2f}, over {_BLURRED:.2f}")
        elif (change := self._duplicate_of(seen)) is not None:
            yield _reject(frame, "duplicate", f"local change {change:.0f} of 255 from a kept frame")
        elif not self.budget.allows(frame.ts, 0 if group.event else self.kept_in_shot):
            yield _reject(frame, "budget", f"{self.budget.kept} frames kept by then")
        else:
            yield self._keep(frame, seen)

    def _duplicate_of(self, seen: Measure) -> float | None:
        for other in self.kept:
            if hamming(other.phash, seen.phash) <= _SAME_BITS:
                change = ncc_align(other, seen)[1]
                if change < _SAME_CHANGE:
                    return change
        return None

    def _keep(self, frame: SampledFrame, seen: Measure) -> Keyframe:
        self.kept.append(seen)
        self.budget.kept += 1
        self.kept_in_shot += 1
        rgb = frame.to_rgb(self.max_side)
        return Keyframe(frame.ts, _ms(frame), self.shot, seen.sharpness, rgb, phash64(rgb))


def _ms(frame: SampledFrame) -> int:
    return round(frame.ts * 1000)


def _reject(frame: SampledFrame, reason: RejectReason, detail: str) -> RejectedFrame:
    return RejectedFrame(frame.ts, _ms(frame), reason, detail)


def _unusable(frame: SampledFrame, seen: Measure) -> RejectedFrame | None:
    if seen.dark < _BLACK:
        return _reject(frame, "black", f"99 of 100 pixels under luma {seen.dark:.0f} of 255")
    if seen.spread < _FLAT:
        return _reject(frame, "flat", f"luma spans {seen.spread:.0f} of 255")
    return None


def _is_cut(likeness: float, last: Measure, seen: Measure, *, slide: bool) -> bool:
    if likeness < _CUT_LIKENESS and colour_overlap(last, seen) + _CUT_SHARE * likeness < _CUT_LINE:
        return True
    return slide and replaced(last, seen) > _NEW_SLIDE
