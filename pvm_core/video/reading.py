"""Video files: what they hold, and their frames at the sampled moments.

Decoding follows the file's own structure. Packets are read from one key frame to the next (a segment); the
packet sizes say whether anything happens in between; only what leads up to the wanted moments is decoded,
with frames nobody refers to skipped, and the rest of the segment is dropped. Threads inside one decoder are
off: they do not help sparse decoding (PyAV issue 1980), files side by side do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av

from pvm_core.video.completeness import length_of, no_frame, raise_if_incomplete
from pvm_core.video.container import OpenVideo, opened
from pvm_core.video.frame import SampledFrame
from pvm_core.video.timeline import Timeline

#: Packets and bytes of one segment held in memory; a longer group of pictures is worked through in parts.
_SEGMENT_PACKETS: Final = 240
_SEGMENT_BYTES: Final = 32_000_000
#: A segment is quiet where its frames between the key frames cost less than this share of the key frame's
#: bytes, per second in all and at most for one frame. Change costs bits: a product that enters a still scene
#: costs about its share of the picture, twice.
_QUIET_PER_SECOND: Final = 0.10
_QUIET_FRAME: Final = 0.05
#: A frame this much before a wanted moment serves it, seconds.
_EARLY_S: Final = 0.05
#: A moment closer than this share of a step to the last sampled frame is skipped: segments begin anywhere.
_CLOSE: Final = 0.8


@dataclass(frozen=True)
class VideoInfo:
    """A video as its container and its first frame describe it.

    Attributes:
        duration_s: seconds.
        width, height: pixels as shown (rotation and pixel shape applied).
        rotation: degrees counter-clockwise, 0, 90, 180 or 270, by which the decoder's picture is turned.
        codec: the decoder's name, e.g. ``h264``.
    """

    duration_s: float
    width: int
    height: int
    rotation: int
    codec: str


@dataclass(frozen=True)
class SamplingPlan:
    """Which moments of a video are sampled.

    Attributes:
        step_s: seconds between sampled frames where something happens.
        max_gap_s: seconds between them where nothing does; at least `step_s`.
        max_s: seconds of the video that are sampled.
    """

    step_s: float
    max_gap_s: float
    max_s: float


def probe(path: str | Path) -> VideoInfo:
    """What the video at `path` is; decodes one frame.

    Raises:
        MediaError: as `iter_sampled_frames`, apart from what only reading to the end shows.
    """
    with opened(Path(path)) as video:
        duration = video.declared_s
        sample = next(_samples(video, SamplingPlan(step_s=60.0, max_gap_s=60.0, max_s=math.inf)), None)
        if sample is None:
            raise no_frame(video)
        if duration <= 0:
            duration = max(sample.ts, length_of(video))
        width, height = sample.shown_size()
        return VideoInfo(duration, width, height, sample.rotation, video.stream.codec_context.name)


def iter_sampled_frames(path: str | Path, plan: SamplingPlan) -> Iterator[SampledFrame]:
    """Frames of a video in order of time, at the moments the plan asks for.

    Memory is bounded by one segment of packets and the frames the caller holds.

    Raises:
        MediaError: ``video.missing``, ``video.unreadable``, ``video.empty``, ``video.type`` (not a video),
            ``video.no_stream`` (no picture track), ``video.codec``, ``video.bomb`` (picture size),
            ``video.corrupt``; and, after the frames that do decode, ``video.truncated`` or ``video.corrupt``.
    """
    with opened(Path(path)) as video:
        yield from _samples(video, plan)
        raise_if_incomplete(video)


def _samples(video: OpenVideo, plan: SamplingPlan) -> Iterator[SampledFrame]:
    last = -math.inf
    key_bytes = 0
    segments = _segments(video)
    segment = next(segments, None)
    while segment is not None:
        following = next(segments, None)
        if segment[0].is_keyframe:
            key_bytes = segment[0].size
        begin, end = _span(video, segment, following)
        if begin > plan.max_s:
            video.stopped_early = True
            return
        step = plan.max_gap_s if _quiet(segment, key_bytes, end - begin) else plan.step_s
        moments = _Moments.between(begin, min(end, plan.max_s), step)
        continued = following is not None and not following[0].is_keyframe
        for sample in _decode(video, segment, moments, last + _CLOSE * step, continued=continued):
            if sample.ts > plan.max_s:
                video.stopped_early = True
                return
            last = sample.ts
            yield sample
        segment = following


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


def _quiet(segment: list[Any], key_bytes: int, seconds: float) -> bool:
    rest: list[int] = [packet.size for packet in segment if not packet.is_keyframe]
    if not rest or not key_bytes:
        return False
    return max(rest) < _QUIET_FRAME * key_bytes and sum(rest) < _QUIET_PER_SECOND * key_bytes * seconds


@dataclass(frozen=True)
class _Moments:
    """Equally spaced moments from `begin` on, seconds; computed as asked for, however many there are."""

    begin: float
    spacing: float
    count: int

    @classmethod
    def between(cls, begin: float, end: float, step: float) -> _Moments:
        """Moments at most `step` apart, `end` excluded; the beginning itself in any case."""
        count = max(1, math.ceil((end - begin) / step - 1e-6))
        return cls(begin, max((end - begin) / count, 1e-6), count)

    def at_or_after(self, ts: float) -> float | None:
        """The first moment that is not before `ts`; None where there is none."""
        if ts <= self.begin:
            return self.begin
        index = math.ceil((ts - self.begin) / self.spacing)
        return self.begin + index * self.spacing if index < self.count else None


def _decode(
    video: OpenVideo, segment: list[Any], moments: _Moments, earliest: float, *, continued: bool
) -> Iterator[SampledFrame]:
    """The first frame at or after each moment from `earliest` on.

    `continued`: the next segment goes on with this group of pictures, so the decoder needs all of this one.
    """
    context = video.stream.codec_context
    due = moments.at_or_after(earliest)
    if due is None and not continued:
        return
    for packet in (*segment, None):
        if due is None and not continued:
            break
        if packet is None and continued:
            return
        for frame in _feed(video, packet):
            sample = _sample_of(video, frame)
            if sample is not None and due is not None and sample.ts >= due - _EARLY_S:
                due = moments.at_or_after(math.nextafter(sample.ts + _EARLY_S, math.inf))
                yield sample
    context.flush_buffers()


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
