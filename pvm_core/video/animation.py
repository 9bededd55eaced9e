"""GIF and WebP that move, read as clips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from PIL import Image

from pvm_core.errors import MediaError
from pvm_core.video.frame import SampledFrame
from pvm_core.video.plan import SamplingPlan, VideoInfo

_FORMATS: Final = ("GIF", "WEBP")
#: Pixels that are decoded of one animation: every frame builds on the one before it. 20 minutes of 320 x 240
#: at 20 frames a second have half of them.
_MAX_PIXELS: Final = 4_000_000_000
_MAX_FRAME: Final = 35_651_584
#: Browsers show a frame of at most 10 ms for 100 ms, whatever the file says.
_LEAST_MS: Final = 10
_USUAL_MS: Final = 100
#: A frame this much before a wanted moment serves it; one that lasts this long is seen in any case; seconds.
_EARLY_S: Final = 0.05
_HELD_S: Final = 0.5
_ERRORS: Final = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, RuntimeError)


def is_animation(path: Path) -> bool:
    """Whether the file is a GIF or WebP of more than one picture; False for any that cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
        if head[:4] != b"GIF8" and head[8:12] != b"WEBP":
            return False
        with Image.open(path, formats=_FORMATS) as image:
            return bool(getattr(image, "is_animated", False))
    except (*_ERRORS, Image.DecompressionBombError):
        return False


def probe_animation(path: Path) -> VideoInfo:
    """What the animation is; reads all of it.

    Raises:
        MediaError: ``video.bomb``, ``video.corrupt``.
    """
    with Image.open(path, formats=_FORMATS) as image:
        (width, height), codec = image.size, str(image.format).lower()
    length = 0.0
    try:
        for ts, held_s, _ in _frames(path):
            length = ts + held_s
    except MediaError as error:
        if error.code != "video.truncated":
            raise
    return VideoInfo(length, width, height, 0, codec)


def iter_animation(path: Path, plan: SamplingPlan) -> Iterator[SampledFrame]:
    """Frames of an animation at the moments the plan asks for, transparency laid on white.

    Raises:
        MediaError: ``video.bomb``; after the frames that do decode, ``video.truncated``.
    """
    due = 0.0
    for ts, held_s, image in _frames(path):
        if ts > plan.max_s:
            return
        if ts >= due - _EARLY_S or held_s >= _HELD_S:
            due = ts + plan.step_s
            yield SampledFrame(ts, _on_white(image))


def _frames(path: Path) -> Iterator[tuple[float, float, Image.Image]]:
    """(seconds, seconds that it lasts, picture) of each frame."""
    ts, pixels = 0.0, 0
    with Image.open(path, formats=_FORMATS) as image:
        size = image.width * image.height
        if size > _MAX_FRAME:
            reason = f"{image.width:,} x {image.height:,} pixels"
            raise MediaError("video.bomb", str(path), reason, "Scale it down")
        for number in range(getattr(image, "n_frames", 1)):
            pixels += size
            if pixels > _MAX_PIXELS:
                reason = f"an animation of more than {_MAX_PIXELS:,} pixels in all"
                raise MediaError("video.bomb", str(path), reason, "Convert it to MP4 (H.264)")
            try:
                image.seek(number)
                image.load()
            except _ERRORS as error:
                reason = f"it breaks off after {ts:.1f} s ({error})"
                raise MediaError("video.truncated", str(path), reason, "Fetch or export it again") from error
            held_ms = float(image.info.get("duration") or 0)
            held_s = (held_ms if held_ms > _LEAST_MS else _USUAL_MS) / 1_000
            yield ts, held_s, image
            ts += held_s


def _on_white(image: Image.Image) -> Any:
    page = Image.new("RGB", image.size, (255, 255, 255))
    shown = image.convert("RGBA")
    page.paste(shown, mask=shown.getchannel("A"))
    return av.VideoFrame.from_ndarray(np.asarray(page), format="rgb24")
