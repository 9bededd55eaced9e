"""One sampled frame of a video: its size as shown, its picture, its planes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from pvm_core.images import Rgb
from pvm_core.video.orientation import Orientation, orientation_of
from pvm_core.video.tone import is_hdr, tone_mapped


@dataclass(frozen=True)
class SampledFrame:
    """A decoded frame, not converted yet.

    Attributes:
        ts: seconds from the start of the video.
        frame: the decoder's frame (`av.VideoFrame`), as coded: not rotated, pixels not square.
        aspect: width of a pixel over its height.
        coded: the decoder's own frame, where `frame` was made of it.
        turned: its orientation where the reader knows it already.
    """

    ts: float
    frame: Any
    aspect: float = 1.0
    coded: Any = None
    turned: Orientation | None = None

    def in_standard_range(self) -> SampledFrame:
        """The same moment with an HDR picture tone-mapped; itself where it is none."""
        if not is_hdr(self.frame):
            return self
        return replace(self, frame=tone_mapped(self.frame), coded=self.frame)

    @property
    def orientation(self) -> Orientation:
        """How the picture is made upright, as the file's display matrix says."""
        return orientation_of(self._source) if self.turned is None else self.turned

    @property
    def _source(self) -> Any:
        return self.frame if self.coded is None else self.coded

    def shown_size(self) -> tuple[int, int]:
        """(width, height) in square pixels, upright."""
        width, height = max(1, round(self._source.width * self.aspect)), self._source.height
        return (height, width) if self.orientation.rotation % 180 else (width, height)

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
        return self.orientation.upright(np.asarray(small.to_ndarray(), dtype=np.uint8))

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
