"""Whether a file was read to the end that it declares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import av

from pvm_core.errors import MediaError
from pvm_core.video.container import CONVERT, FETCH_AGAIN, OpenVideo, open_container
from pvm_core.video.timeline import Timeline

#: Seconds, and share of its length, that may be missing at the end before a video counts as truncated:
#: containers round, and a sound track is often longer than the picture.
_SHORT_S: Final = 1.0
_SHORT_SHARE: Final = 0.02
#: Share of packets that may fail to decode before the file counts as corrupt.
_BROKEN_SHARE: Final = 0.10


def no_frame(video: OpenVideo) -> MediaError:
    """Why a file gave no frame at all."""
    subject = str(video.path)
    if video.timeless and not video.frames:
        return MediaError("video.no_times", subject, "its frames carry no times", CONVERT)
    if video.read_error or _short(video) or (not video.fed and video.declared_s):
        return MediaError("video.truncated", subject, "it breaks off before its first frame", FETCH_AGAIN)
    return MediaError("video.corrupt", subject, "no frame of it decodes", CONVERT)


def raise_if_incomplete(video: OpenVideo) -> None:
    if not video.frames:
        raise no_frame(video)
    if not video.stopped_early and (video.read_error or _short(video)):
        reason = f"it breaks off after {video.end_s:.1f} s"
        reason += f" of {video.declared_s:.1f} s" if video.declared_s > video.end_s else ""
        raise MediaError("video.truncated", str(video.path), reason, FETCH_AGAIN)
    if video.broken > _BROKEN_SHARE * video.fed:
        reason = f"{video.broken} of {video.fed} packets do not decode"
        raise MediaError("video.corrupt", str(video.path), reason, CONVERT)


def _short(video: OpenVideo) -> bool:
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
    return video.declared_s - length_of(video) > allowed


def length_of(video: OpenVideo) -> float:
    """Where the last packet of any track ends, seconds from the start, from a fresh pass over the file."""
    return max(_packet_ends(video), default=0.0)


def _packet_ends(video: OpenVideo) -> Iterator[float]:
    timelines: dict[int, Timeline] = {}
    with open_container(video.path) as container:
        try:
            for packet in container.demux():
                if not packet.size or not packet.time_base:
                    continue
                timeline = timelines.get(packet.stream.index)
                if timeline is None:
                    timeline = Timeline(packet.stream, video.start_s, restarts=video.restarts)
                    timelines[packet.stream.index] = timeline
                yield float(timeline.place(packet) * packet.time_base) - video.start_s
        except (av.error.FFmpegError, OSError):
            return
