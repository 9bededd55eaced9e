"""The frames of a video at the sampled moments.

Decoding follows the file's own structure. Packets are read from one key frame to the next (a segment); their
sizes say whether anything happens in between; only what leads up to the wanted moments is decoded, with
frames nobody refers to skipped, and the rest of the segment is dropped. Threads inside one decoder are off:
they do not help sparse decoding (PyAV issue 1980), files side by side do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import av

from pvm_core.video.activity import Activity, PacketFacts, activity_of
from pvm_core.video.animation import is_animation, iter_animation, probe_animation
from pvm_core.video.completeness import length_of, no_frame, raise_if_incomplete
from pvm_core.video.container import OpenVideo, opened
from pvm_core.video.fields import Deinterlacer
from pvm_core.video.frame import SampledFrame
from pvm_core.video.plan import SamplingPlan, VideoInfo
from pvm_core.video.timeline import Timeline

#: Packets and bytes of one segment held in memory; a longer group of pictures is worked through in parts.
_SEGMENT_PACKETS: Final = 240
_SEGMENT_BYTES: Final = 32_000_000
#: A frame this much before a wanted moment serves it, seconds.
_EARLY_S: Final = 0.05


def probe(path: str | Path) -> VideoInfo:
    """What the video at `path` is; decodes one frame.

    Raises:
        MediaError: as `iter_sampled_frames`, apart from what only reading to the end shows.
    """
    if is_animation(Path(path)):
        return probe_animation(Path(path))
    with opened(Path(path)) as video:
        duration = video.declared_s
        sample = next(_samples(video, SamplingPlan(step_s=60.0, max_gap_s=60.0, max_s=math.inf)), None)
        if sample is None:
            raise no_frame(video)
        if duration <= 0:
            duration = max(sample.ts, length_of(video))
        width, height = sample.shown_size()
        codec = video.stream.codec_context.name
        return VideoInfo(duration, width, height, sample.orientation.rotation, codec)


def iter_sampled_frames(path: str | Path, plan: SamplingPlan) -> Iterator[SampledFrame]:
    """Frames of a video in order of time, at the moments the plan asks for.

    Memory is bounded by one segment of packets and the frames the caller holds.

    Raises:
        MediaError: ``video.missing``, ``video.unreadable``, ``video.empty``, ``video.type`` (not a video),
            ``video.no_stream`` (no picture track), ``video.codec``, ``video.bomb`` (picture size),
            ``video.corrupt``; and, after the frames that do decode, ``video.truncated`` or ``video.corrupt``.
    """
    if is_animation(Path(path)):
        yield from iter_animation(Path(path), plan)
        return
    with opened(Path(path)) as video:
        yield from _samples(video, plan)
        raise_if_incomplete(video)


def iter_frames(path: str | Path) -> Iterator[SampledFrame]:
    """Every frame of a video in order of time; memory as `iter_sampled_frames`.

    Raises:
        MediaError: as `iter_sampled_frames`.
    """
    if is_animation(Path(path)):
        yield from iter_animation(Path(path), SamplingPlan(0.0, 0.0, math.inf))
        return
    with opened(Path(path)) as video:
        fields, last, turned = Deinterlacer(video.stream.time_base), -math.inf, None
        packets = (packet for segment in _segments(video) for packet in segment)
        for packet in _with_end(packets):
            for frame in fields.through(_feed(video, packet), last=packet is None):
                sample = _sample_of(video, frame)
                if sample is not None and sample.ts > last:
                    last = sample.ts
                    # Asking a frame for its side data ties it into a circle that only the collector frees: a
                    # track has one display matrix, so its first frame is asked alone.
                    turned = turned or sample.orientation
                    yield replace(sample, turned=turned).in_standard_range()
        raise_if_incomplete(video)


def _with_end(packets: Iterator[Any]) -> Iterator[Any]:
    """The packets, then None: the decoder gives out what it still holds."""
    yield from packets
    yield None


def _samples(video: OpenVideo, plan: SamplingPlan) -> Iterator[SampledFrame]:
    sampler = _Sampler(video, plan)
    key_bytes = 0
    segments = _segments(video)
    segment = next(segments, None)
    while segment is not None and not video.stopped_early:
        following = next(segments, None)
        if segment[0].is_keyframe:
            key_bytes = segment[0].size
        begin, end = _span(video, segment, following)
        if begin > plan.max_s:
            video.stopped_early = True
            break
        facts = [PacketFacts(video.seconds(_time_of(p)), p.size, p.is_keyframe) for p in segment]
        continued = following is not None and not following[0].is_keyframe
        yield from sampler.run(segment, activity_of(facts, key_bytes, begin, end), continued=continued)
        segment = following
    yield from sampler.finish()


def _segments(video: OpenVideo) -> Iterator[list[Any]]:
    """Packets from one key frame up to the next; a part of them where that is too much to hold."""
    segment: list[Any] = []
    held = 0
    timeline = Timeline(video.stream, video.start_s, restarts=video.restarts)
    try:
        for packet in video.container.demux(video.stream):
            if not packet.size:
                continue
            end = timeline.place(packet)
            if segment and (packet.is_keyframe or len(segment) >= _SEGMENT_PACKETS or held > _SEGMENT_BYTES):
                yield segment
                segment, held = [], 0
            segment.append(packet)
            held += packet.size
            video.end_s = max(video.end_s, video.seconds(end))
    except (av.error.FFmpegError, OSError) as error:
        video.read_error = str(error)
    if segment:
        yield segment


def _time_of(packet: Any) -> Any:
    return packet.pts if packet.pts is not None else packet.dts


def _span(video: OpenVideo, segment: list[Any], following: list[Any] | None) -> tuple[float, float]:
    begin = max(0.0, video.seconds(_time_of(segment[0])))
    if following is not None:
        return begin, max(begin, video.seconds(_time_of(following[0])))
    return begin, max(begin, video.end_s)


@dataclass
class _Sampler:
    """The decoder at work: feeds it segments, takes from it the first frame at or after each wanted moment.

    Attributes:
        last: time of the last sampled frame, seconds.
        due: the wanted moment that no frame has served yet. Decoders give frames late, so that it may be
            served while the next segment is fed.
        whole: the decoder was given everything since its last flush.
    """

    video: OpenVideo
    plan: SamplingPlan
    last: float = -math.inf
    due: float | None = None
    whole: bool = True
    fields: Deinterlacer = field(init=False)
    activities: list[Activity] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fields = Deinterlacer(self.video.stream.time_base)

    def run(self, segment: list[Any], activity: Activity, *, continued: bool) -> Iterator[SampledFrame]:
        """Frames sampled while `segment` is decoded; `continued`: the next one builds on it."""
        self.activities.append(activity)
        self._aim()
        if not self.whole and segment[0].is_keyframe:
            self.video.stream.codec_context.flush_buffers()
            self.whole = True
        # A frame that stays on screen is sampled though no other refers to it; fields are woven with the
        # frames before and after.
        self.video.skip_unreferenced(not (activity.pauses or self.fields.working))
        for packet in segment:
            if self.due is None and not continued:
                self.whole = False
                return
            yield from self._taken(self.fields.through(_feed(self.video, packet)))

    def finish(self) -> Iterator[SampledFrame]:
        """Frames that the decoder still holds."""
        if self.whole and not self.video.stopped_early:
            yield from self._taken(self.fields.through(_feed(self.video, None), last=True))

    def _aim(self) -> None:
        while self.due is None and self.activities:
            self.due = self.activities[0].next_moment(self.last, self.plan)
            if self.due is not None and self.due > self.plan.max_s:
                self.due = None
            if self.due is None:
                self.activities.pop(0)

    def _taken(self, frames: list[Any]) -> Iterator[SampledFrame]:
        for frame in frames:
            sample = _sample_of(self.video, frame)
            if (
                sample is None
                or self.due is None
                or sample.ts < self.due - _EARLY_S
                or sample.ts <= self.last
            ):
                continue
            if sample.ts > self.plan.max_s:
                self.video.stopped_early = True
                return
            self.last, self.due = sample.ts, None
            self._aim()
            yield sample.in_standard_range()


def _feed(video: OpenVideo, packet: Any) -> list[Any]:
    video.fed += 1
    try:
        return list(video.stream.codec_context.decode(packet))
    except (av.error.FFmpegError, OSError):
        # The decoder resumes at the next packet; how many failed is judged at the end.
        video.broken += 1
        return []


def _sample_of(video: OpenVideo, frame: Any) -> SampledFrame | None:
    pts = frame.pts if frame.pts is not None else frame.dts
    if pts is None:
        video.timeless += 1
        return None
    if frame.is_corrupt:
        video.broken += 1
        return None
    video.frames += 1
    return SampledFrame(max(0.0, video.seconds(pts)), frame, video.aspect)
