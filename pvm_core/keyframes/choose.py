"""Choosing keyframes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from pvm_core.errors import MediaError
from pvm_core.keyframes.params import Keyframe, KeyframeParams, RejectedFrame
from pvm_core.pictures import hamming, normalise, phash64


def iter_keyframes(
    path: str | Path, params: KeyframeParams | None = None
) -> Iterator[Keyframe | RejectedFrame]:
    """Kept and rejected frames of the video, as they are decided."""
    params = params or KeyframeParams()
    last, due, shot = None, 0.3, -1
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                ts = float(frame.time or 0.0)
                if ts < due or ts > params.max_s:
                    continue
                due = ts + 1.0
                rgb = normalise(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), params.max_side)
                phash = phash64(rgb)
                if last is not None and hamming(last, phash) < 6:
                    yield RejectedFrame(ts, round(ts * 1000), "duplicate", "")
                    continue
                shot, last = shot + 1, phash
                grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
                sharpness = float(cv2.Laplacian(grey, cv2.CV_32F).var())
                yield Keyframe(ts, round(ts * 1000), shot, sharpness, rgb, phash)
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError("video.corrupt", str(path), str(error), "convert it to MP4 again") from error
