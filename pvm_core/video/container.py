"""Opening a video file: what an untrusted one may reach and cost, which track is the picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
from av.format import Flags

from pvm_core.errors import MediaError
from pvm_core.file_type import describe
from pvm_core.video.timeline import ABSURD_S

#: Demuxers an untrusted file may reach. Others (playlists, concatenation scripts, image sequences) open
#: further files or addresses named inside the file.
_CONTAINERS: Final = "mov,matroska,avi,mpegts,mpeg,flv,asf"
#: The longest side, and the pixels, of a picture that is decoded: a decoder holds up to 16 of them. The
#: pixels are those of the highest level of H.264 and H.265 (6.2), 8K included.
_MAX_SIDE: Final = 8_192
_MAX_PIXELS: Final = 35_651_584
#: A track of this many times fewer pixels than the largest is a preview of it: cameras and drones write one
#: of 160 x 90 or 320 x 180 beside a picture of 1280 x 720 and more.
_PREVIEW_SHARE: Final = 9
#: Top-level boxes of an MP4 that are looked at: one fragment of a second has two, a day of them 172,800.
_MAX_BOXES: Final = 200_000
FETCH_AGAIN: Final = "Fetch or export it again"
CONVERT: Final = "Convert it to MP4 (H.264) and try again"


@dataclass
class OpenVideo:
    """One pass over an open file, and what was read so far.

    Attributes:
        start_s: the container's time at which the video begins, seconds.
        declared_s: its length as the container states it, seconds; 0 where it does not or where what it
            states cannot be.
        aspect: width of a pixel over its height.
        frames, timeless: frames that decoded; those among them without a time.
        fed, broken: packets given to the decoder; those that failed.
        end_s: where the packets read so far end, seconds from the start.
        stopped_early: reading stopped at the longest length, not at the end.
    """

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
        """Seconds from the start of the video, of a time in ticks of the stream."""
        return float(pts * self.stream.time_base) - self.start_s

    def skip_unreferenced(self, skip: bool) -> None:
        """Whether frames that no other refers to are passed over from now on.

        BIDIR would skip more, but where P frames refer to B frames (x264 with several references) what is
        left then differs from a full decode; NONREF never does. dav1d takes it only at its start.
        """
        context = self.stream.codec_context
        context.skip_frame = "NONREF" if skip and context.name != "libdav1d" else "DEFAULT"

    @property
    def restarts(self) -> bool:
        """Whether times may restart within a file of this container."""
        return may_restart(self.container)


def may_restart(container: Any) -> bool:
    """Whether times may restart within a file of this container."""
    return bool(container.format.flags & Flags.ts_discont.value)


@contextmanager
def opened(path: Path) -> Iterator[OpenVideo]:
    """The video at `path`, open at its beginning.

    Raises:
        MediaError: ``video.missing``, ``video.unreadable``, ``video.empty``, ``video.type``,
            ``video.truncated`` (an MP4 without its index), ``video.corrupt``, ``video.no_stream``,
            ``video.codec``, ``video.bomb``.
    """
    size = _size_of(path)
    if size == 0:
        raise MediaError("video.empty", str(path), "the file is empty (0 bytes)", FETCH_AGAIN)
    try:
        container = open_container(path)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _unopenable(path, size) from error
    with container:
        yield _described(path, container)


def declared_length(path: Path) -> float:
    """Seconds that the file's container states; 0 where it states none. Decodes no frame.

    Raises:
        MediaError: as `opened`.
    """
    with opened(path) as video:
        return video.declared_s


def open_container(path: Path) -> Any:
    """The file in FFmpeg's hands, behind the limits of an untrusted one."""
    # The prefix keeps FFmpeg from reading a protocol into a name such as "concat:a.mp4".
    return av.open(f"file:{path.absolute()}", options={"format_whitelist": _CONTAINERS})


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


def _described(path: Path, container: Any) -> OpenVideo:
    stream = _picture_track(container)
    if stream is None:
        reason = "it holds sound but no picture" if container.streams.audio else "it holds no picture track"
        raise MediaError("video.no_stream", str(path), reason, "Give the file that shows the product")
    context = stream.codec_context
    if context is None:
        raise MediaError("video.codec", str(path), "its picture format is unknown here", CONVERT)
    _check_picture(path, context.width, context.height)
    # A picture that grows later in the stream meets the same limit inside the decoder.
    context.options = {"max_pixels": str(_MAX_PIXELS)}
    context.thread_type = "NONE"
    start = container.start_time / av.time_base if container.start_time is not None else None
    if start is None:
        start = float(stream.start_time * stream.time_base) if stream.start_time is not None else 0.0
    aspect = float(stream.sample_aspect_ratio or context.sample_aspect_ratio or 1) or 1.0
    return OpenVideo(path, container, stream, start, _declared(container, stream, start), aspect)


def _picture_track(container: Any) -> Any:
    """The track that a player shows; None where there is no picture.

    It is the one that the file marks as its default, or else the first, previews and tracks of a format that
    is unknown here passed over. A cover picture inside an audio file is a track of one frame to FFmpeg.
    """
    tracks = [t for t in container.streams.video if not t.disposition & t.disposition.attached_pic]
    pixels = {
        t.index: t.codec_context.width * t.codec_context.height if t.codec_context else -1 for t in tracks
    }
    largest = max(pixels.values(), default=0)
    tracks = [t for t in tracks if _PREVIEW_SHARE * pixels[t.index] >= largest] or tracks
    marked = [t for t in tracks if t.disposition & t.disposition.default]
    return next(iter(marked or tracks), None)


def _check_picture(path: Path, width: int, height: int) -> None:
    if max(width, height) > _MAX_SIDE:
        reason = f"{width:,} x {height:,} pixels, over {_MAX_SIDE:,} a side"
        raise MediaError("video.bomb", str(path), reason, "Scale it down")
    if width * height > _MAX_PIXELS:
        reason = f"{width:,} x {height:,} pixels, over {_MAX_PIXELS / 1e6:.1f} million"
        raise MediaError("video.bomb", str(path), reason, "Scale it down")


def _declared(container: Any, stream: Any, start: float) -> float:
    if may_restart(container):
        # FFmpeg takes the last time less the first, which says nothing where times restart.
        return 0.0
    if container.duration:
        declared = container.duration / av.time_base
    else:
        declared = float(stream.duration * stream.time_base) if stream.duration else 0.0
    if container.format.name.startswith("matroska"):
        # Its length is the time of its end, whenever it begins.
        declared -= start
    return declared if 0 < declared < ABSURD_S else 0.0


def _unopenable(path: Path, size: int) -> MediaError:
    with path.open("rb") as file:
        head = file.read(4096)
        kind = describe(head)
        if kind.kind == "video" and kind.supported:
            if kind.name.startswith("an MP4") and not _has_index(file, size):
                reason = f"an MP4 or MOV video of {size:,} bytes without its index: it breaks off early"
                return MediaError("video.truncated", str(path), reason, FETCH_AGAIN)
            return MediaError("video.corrupt", str(path), f"{kind.name} that does not open", FETCH_AGAIN)
    reason = f"the content is {kind.name}, not a video this program opens"
    return MediaError("video.type", str(path), reason, "Give an MP4, MKV, WebM or MOV file")


def _has_index(file: Any, size: int) -> bool:
    """Whether a top-level ``moov`` box lies wholly inside the file (ISO/IEC 14496-12, section 4.2)."""
    at = 0
    for _ in range(_MAX_BOXES):
        if at + 8 > size:
            return False
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
