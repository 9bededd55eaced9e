"""Video files: what they hold, and their frames at the sampled moments.

Decoding follows the file's own structure. Packets are read from one key frame to the next (a segment); the
packet sizes say whether anything happens in between; only what leads up to the wanted moments is decoded,
with frames nobody refers to skipped, and the rest of the segment is dropped. Threads inside one decoder are
off: they do not help sparse decoding (PyAV issue 1980), files side by side do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from pvm_core.errors import MediaError
from pvm_core.file_type import describe
from pvm_core.images import Rgb

#: Demuxers an untrusted file may reach. Others (playlists, concatenation scripts, image sequences) open
#: further files or addresses named inside the file.
_CONTAINERS: Final = "mov,matroska,avi,mpegts,mpeg,flv"
#: The longest side of a picture that is decoded, and the packets and bytes of one segment held in memory;
#: a longer group of pictures is worked through in parts.
_MAX_SIDE: Final = 8_192
_SEGMENT_PACKETS: Final = 240
_SEGMENT_BYTES: Final = 32_000_000
#: A segment is quiet where its frames between the key frames cost less than this share of the key frame's
#: bytes, per second in all and at most for one frame. Change costs bits: a product that enters a still scene
#: costs about its share of the picture, twice.
_QUIET_PER_SECOND: Final = 0.10
_QUIET_FRAME: Final = 0.05
#: A frame this much before a wanted moment serves it, seconds.
_EARLY_S: Final = 0.05
#: Seconds, and share of its length, that may be missing at the end before a video counts as truncated:
#: containers round, and a sound track is often longer than the picture.
_SHORT_S: Final = 1.0
_SHORT_SHARE: Final = 0.02
#: A moment closer than this share of a step to the last sampled frame is skipped: segments begin anywhere.
_CLOSE: Final = 0.8
#: Share of packets that may fail to decode before the file counts as corrupt.
_BROKEN_SHARE: Final = 0.10
_FETCH_AGAIN: Final = "Fetch or export it again"
_CONVERT: Final = "Convert it to MP4 (H.264) and try again"


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


@dataclass(frozen=True)
class SampledFrame:
    """A decoded frame, not converted yet.

    Attributes:
        ts: seconds from the start of the video.
        frame: the decoder's frame (`av.VideoFrame`), as coded: not rotated, pixels not square.
        aspect: width of a pixel over its height.
    """

    ts: float
    frame: Any
    aspect: float = 1.0

    @property
    def rotation(self) -> int:
        """Degrees counter-clockwise by which the picture is to be turned: 0, 90, 180 or 270."""
        return round(float(self.frame.rotation) / 90) % 4 * 90

    def shown_size(self) -> tuple[int, int]:
        """(width, height) in square pixels, upright."""
        width, height = max(1, round(self.frame.width * self.aspect)), self.frame.height
        return (height, width) if self.rotation % 180 else (width, height)

    def to_rgb(self, max_side: int) -> Rgb:
        """The picture as shown, RGB uint8 (H, W, 3), scaled down by the decoder's scaler to `max_side`."""
        width, height = max(1, round(self.frame.width * self.aspect)), self.frame.height
        scale = min(1.0, max_side / max(width, height))
        how = Interpolation.AREA if scale < 1 else Interpolation.BILINEAR
        small = VideoReformatter().reformat(
            self.frame,
            max(1, round(width * scale)),
            max(1, round(height * scale)),
            "rgb24",
            interpolation=how | Interpolation.FULL_CHR_H_INT,
            threads=1,
        )
        return _turn(np.asarray(small.to_ndarray(), dtype=np.uint8), self.rotation)

    def planes(self, long_side: int) -> tuple[Any, Any, Any]:
        """Luma (longest side at most `long_side`) and chroma planes (smaller, any size), uint8, as coded."""
        frame, size = self.frame, _fit(self.frame.width, self.frame.height, long_side)
        if frame.format.name not in _PLANAR_8:
            frame = VideoReformatter().reformat(
                frame, size[0], size[1], "yuv420p", interpolation=Interpolation.AREA, threads=1
            )
        luma, *chroma = (_plane(plane) for plane in frame.planes)
        if (frame.width, frame.height) != size:
            luma = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
        return luma, chroma[0], chroma[1]


#: Pixel formats whose planes can be read where they lie.
_PLANAR_8: Final = frozenset(
    ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "yuv411p", "yuv410p")
)


def _plane(plane: Any) -> Any:
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]


def _fit(width: int, height: int, long_side: int) -> tuple[int, int]:
    scale = min(1.0, long_side / max(width, height))
    # Even sides, so that chroma planes exist at half of them.
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _turn(rgb: Rgb, degrees: int) -> Rgb:
    turns = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
    if degrees in turns:
        rgb = np.asarray(cv2.rotate(rgb, turns[degrees]), dtype=np.uint8)
    return np.ascontiguousarray(rgb)


@dataclass
class _Video:
    """One pass over an open file, and what was read so far."""

    path: Path
    container: Any
    stream: Any
    start_s: float
    declared_s: float
    aspect: float
    frames: int = 0
    fed: int = 0
    broken: int = 0
    timeless: int = 0
    end_s: float = 0.0
    stopped_early: bool = False
    read_error: str = ""

    def seconds(self, pts: int) -> float:
        return float(pts * self.stream.time_base) - self.start_s


def probe(path: str | Path) -> VideoInfo:
    """What the video at `path` is; decodes one frame.

    Raises:
        MediaError: as `iter_sampled_frames`, apart from what only reading to the end shows.
    """
    with _opened(Path(path)) as video:
        duration = video.declared_s
        sample = next(_samples(video, SamplingPlan(step_s=60.0, max_gap_s=60.0, max_s=math.inf)), None)
        if sample is None:
            raise _no_frame(video)
        if duration <= 0:
            duration = max((end for _, end in _packet_times(video)), default=sample.ts)
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
    with _opened(Path(path)) as video:
        yield from _samples(video, plan)
        _raise_if_incomplete(video)


@contextmanager
def _opened(path: Path) -> Iterator[_Video]:
    size = _size_of(path)
    if size == 0:
        raise MediaError("video.empty", str(path), "the file is empty (0 bytes)", _FETCH_AGAIN)
    try:
        # The prefix keeps FFmpeg from reading a protocol into a name such as "concat:a.mp4".
        container = av.open(f"file:{path.absolute()}", options={"format_whitelist": _CONTAINERS})
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _unopenable(path, size) from error
    with container:
        yield _described(path, container)


def _size_of(path: Path) -> int:
    try:
        if path.is_dir():
            raise MediaError("video.type", str(path), "it is a folder, not a video", "Name a video file")
        with path.open("rb"):
            return path.stat().st_size
    except FileNotFoundError as error:
        raise MediaError("video.missing", str(path), "there is no such file", "Check the name") from error
    except OSError as error:
        reason = f"it cannot be read ({error.strerror or error})"
        raise MediaError("video.unreadable", str(path), reason, "Check its permissions") from error


def _described(path: Path, container: Any) -> _Video:
    # A cover picture inside an audio file is a video stream of one frame to FFmpeg.
    streams = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
    if not streams:
        reason = "it holds sound but no picture" if container.streams.audio else "it holds no picture track"
        raise MediaError("video.no_stream", str(path), reason, "Give the file that shows the product")
    stream = streams[0]
    context = stream.codec_context
    if context is None:
        raise MediaError("video.codec", str(path), "its picture format is unknown here", _CONVERT)
    if max(context.width, context.height) > _MAX_SIDE:
        reason = f"{context.width:,} x {context.height:,} pixels, over {_MAX_SIDE:,} a side"
        raise MediaError("video.bomb", str(path), reason, "Scale it down")
    context.thread_type = "NONE"
    # Frames that no other refers to are skipped. BIDIR would skip more, but where P frames refer to B frames
    # (x264 with several references) what is left then differs from a full decode; NONREF never does.
    context.skip_frame = "NONREF"
    start = container.start_time / av.time_base if container.start_time is not None else None
    if start is None:
        start = float(stream.start_time * stream.time_base) if stream.start_time is not None else 0.0
    if container.duration:
        declared = container.duration / av.time_base
    else:
        declared = float(stream.duration * stream.time_base) if stream.duration else 0.0
    if container.format.name.startswith("matroska"):
        # Its length is the time of its end, whenever it begins.
        declared -= start
    aspect = float(stream.sample_aspect_ratio or context.sample_aspect_ratio or 1) or 1.0
    return _Video(path, container, stream, start, max(0.0, declared), aspect)


def _unopenable(path: Path, size: int) -> MediaError:
    with path.open("rb") as file:
        head = file.read(4096)
        kind = describe(head)
        if kind.kind == "video" and kind.supported:
            if kind.name.startswith("an MP4") and not _has_index(file, size):
                reason = f"an MP4 or MOV video of {size:,} bytes without its index: it breaks off early"
                return MediaError("video.truncated", str(path), reason, _FETCH_AGAIN)
            return MediaError("video.corrupt", str(path), f"{kind.name} that does not open", _FETCH_AGAIN)
    reason = f"the content is {kind.name}, not a video this program opens"
    return MediaError("video.type", str(path), reason, "Give an MP4, MKV, WebM or MOV file")


def _has_index(file: Any, size: int) -> bool:
    """Whether a top-level ``moov`` box lies wholly inside the file (ISO/IEC 14496-12, section 4.2)."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if header[4:8] == b"moov":
            return at + length <= size
        if length < 8:
            return False
        at += length
    return False


def _samples(video: _Video, plan: SamplingPlan) -> Iterator[SampledFrame]:
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
        wanted = [t for t in _moments(begin, end, step) if t >= last + _CLOSE * step and t <= plan.max_s]
        continued = following is not None and not following[0].is_keyframe
        for sample in _decode(video, segment, wanted, continued=continued):
            last = sample.ts
            yield sample
        segment = following


def _segments(video: _Video) -> Iterator[list[Any]]:
    """Packets from one key frame up to the next; a part of them where that is too much to hold."""
    segment: list[Any] = []
    held = 0
    try:
        for packet in video.container.demux(video.stream):
            if not packet.size or _time_of(packet) is None:
                continue
            if segment and (packet.is_keyframe or len(segment) >= _SEGMENT_PACKETS or held > _SEGMENT_BYTES):
                yield segment
                segment, held = [], 0
            segment.append(packet)
            held += packet.size
            end = video.seconds(_time_of(packet) + (packet.duration or 0))
            video.end_s = max(video.end_s, end)
    except (av.error.FFmpegError, OSError) as error:
        video.read_error = str(error)
    if segment:
        yield segment


def _time_of(packet: Any) -> Any:
    return packet.pts if packet.pts is not None else packet.dts


def _span(video: _Video, segment: list[Any], following: list[Any] | None) -> tuple[float, float]:
    begin = max(0.0, video.seconds(_time_of(segment[0])))
    if following is not None:
        return begin, max(begin, video.seconds(_time_of(following[0])))
    return begin, max(begin, video.end_s)


def _quiet(segment: list[Any], key_bytes: int, seconds: float) -> bool:
    rest: list[int] = [packet.size for packet in segment if not packet.is_keyframe]
    if not rest or not key_bytes:
        return False
    return max(rest) < _QUIET_FRAME * key_bytes and sum(rest) < _QUIET_PER_SECOND * key_bytes * seconds


def _moments(begin: float, end: float, step: float) -> list[float]:
    """Equally spaced moments from `begin` on, at most `step` apart, `end` excluded."""
    count = max(1, math.ceil((end - begin) / step - 1e-6))
    return [begin + index * (end - begin) / count for index in range(count)]


def _decode(
    video: _Video, segment: list[Any], wanted: list[float], *, continued: bool
) -> Iterator[SampledFrame]:
    """The first frame at or after each wanted moment.

    `continued`: the next segment goes on with this group of pictures, so the decoder needs all of this one.
    """
    context = video.stream.codec_context
    pending = list(wanted)
    if not pending and not continued:
        return
    for packet in (*segment, None):
        if not pending and not continued:
            break
        if packet is None and continued:
            return
        for frame in _feed(video, packet):
            sample = _sample_of(video, frame)
            if sample is not None and pending and sample.ts >= pending[0] - _EARLY_S:
                pending = [t for t in pending if t > sample.ts + _EARLY_S]
                yield sample
    context.flush_buffers()


def _feed(video: _Video, packet: Any) -> list[Any]:
    video.fed += 1
    try:
        return list(video.stream.codec_context.decode(packet))
    except (av.error.FFmpegError, OSError):
        # The decoder resumes at the next packet; how many failed is judged at the end.
        video.broken += 1
        return []


def _sample_of(video: _Video, frame: Any) -> SampledFrame | None:
    pts = frame.pts if frame.pts is not None else frame.dts
    if pts is None:
        video.timeless += 1
        return None
    if frame.is_corrupt:
        video.broken += 1
        return None
    video.frames += 1
    return SampledFrame(max(0.0, video.seconds(pts)), frame, video.aspect)


def _no_frame(video: _Video) -> MediaError:
    subject = str(video.path)
    if video.timeless and not video.frames:
        return MediaError("video.no_times", subject, "its frames carry no times", _CONVERT)
    if video.read_error or _short(video) or (not video.fed and video.declared_s):
        return MediaError("video.truncated", subject, "it breaks off before its first frame", _FETCH_AGAIN)
    return MediaError("video.corrupt", subject, "no frame of it decodes", _CONVERT)


def _raise_if_incomplete(video: _Video) -> None:
    if not video.frames:
        raise _no_frame(video)
    if not video.stopped_early and (video.read_error or _short(video)):
        reason = f"it breaks off after {video.end_s:.1f} s"
        reason += f" of {video.declared_s:.1f} s" if video.declared_s > video.end_s else ""
        raise MediaError("video.truncated", str(video.path), reason, _FETCH_AGAIN)
    if video.broken > _BROKEN_SHARE * video.fed:
        reason = f"{video.broken} of {video.fed} packets do not decode"
        raise MediaError("video.corrupt", str(video.path), reason, _CONVERT)


def _short(video: _Video) -> bool:
    """Whether the file ends before what its container declares."""
    entries = getattr(video.stream, "index_entries", None)
    if entries is not None and len(entries) and video.container.format.name.startswith("mov"):
        last = entries[len(entries) - 1]
        if last.pos + last.size > video.path.stat().st_size:
            return True
    allowed = max(_SHORT_S, _SHORT_SHARE * video.declared_s)
    if video.declared_s - video.end_s <= allowed:
        return False
    # The length is that of the longest track; only where no track reaches it is something missing.
    reached: float = max((end for _, end in _packet_times(video)), default=0.0)
    return video.declared_s - reached > allowed


def _packet_times(video: _Video) -> Iterator[tuple[float, float]]:
    """(begin, end) in seconds of every packet of every track, from a fresh pass over the file."""
    with av.open(f"file:{video.path.absolute()}", options={"format_whitelist": _CONTAINERS}) as container:
        try:
            for packet in container.demux():
                at = _time_of(packet)
                if at is not None and packet.size:
                    begin = float(at * packet.time_base) - video.start_s
                    yield begin, begin + float((packet.duration or 0) * packet.time_base)
        except (av.error.FFmpegError, OSError):
            return
