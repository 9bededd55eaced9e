"""The parts of a picture that are embedded on their own, shared by all embedders."""

from __future__ import annotations

from typing import Final

import numpy as np

from pvm_core.arrays import U8
from pvm_core.embedders.base import EmbedInput, Kind
from pvm_core.masks.fill import content_box

Box = tuple[float, float, float, float]

#: Parts of a frame as fractions (x0, y0, x1, y1) of its sharp content, longer side horizontal: the whole, two
#: overlapping halves, the middle. A product that takes a tenth of a frame takes a fifth of one of them.
FRAME_VIEWS: Final[tuple[Box, ...]] = (
    (0.0, 0.0, 1.0, 1.0),
    (0.0, 0.0, 0.6, 1.0),
    (0.4, 0.0, 1.0, 1.0),
    (0.25, 0.25, 0.75, 0.75),
)
WHOLE: Final[tuple[Box, ...]] = FRAME_VIEWS[:1]


def crop_to_content(item: EmbedInput) -> tuple[U8, U8 | None]:
    """The picture cut to its mask, or else to its sharp content; the mask goes with it."""
    import cv2

    if item.mask is not None and item.mask.any():
        x, y, w, h = cv2.boundingRect(item.mask)
        part = (slice(y, y + h), slice(x, x + w))
        return np.ascontiguousarray(item.rgb[part]), np.ascontiguousarray(item.mask[part])
    x0, y0, x1, y1 = content_box(item.rgb)
    return np.ascontiguousarray(item.rgb[y0:y1, x0:x1]), None


def boxes_for(kind: Kind, height: int, width: int) -> tuple[Box, ...]:
    """The views of a picture: `FRAME_VIEWS` turned to a frame's longer side, a product's whole."""
    if kind == "product":
        return WHOLE
    if height <= width:
        return FRAME_VIEWS
    return tuple((y0, x0, y1, x1) for x0, y0, x1, y1 in FRAME_VIEWS)
