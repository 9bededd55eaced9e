"""Video files: what they hold, and their frames at the moments worth looking at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from pvm_core.errors import MediaError


@dataclass(frozen=True)
class VideoInfo:
    """A video as its container describes it.

    Attributes:
        duration_s: seconds; 0.0 where the container does not say and no packet has a time.
        width, height: pixels as shown (rotation applied).
        rotation: degrees, 0, 90, 180 or 270, by which the decoder's picture is turned.
        codec: the decoder's name, e.g. ``h264``.
    """

    duration_s: float
    width: int
    height: int
    rotation: int
    codec: str


def probe(path: str | Path) -> VideoInfo:
    """What the video at `path` is."""
    try:
        with av.open(str(path)) as container:
            stream: Any = container.streams.video[0]
            duration = (container.duration or 0) / 1e6
            return VideoInfo(
                duration,
                stream.codec_context.width,
                stream.codec_context.height,
                0,
                stream.codec_context.name,
            )
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise MediaError("video.corrupt", str(path), str(error), "convert it to MP4 again") from error
