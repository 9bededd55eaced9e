"""Thumbnails: the middle of an evidence picture, or product and frame side by side, small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from pvm_core.errors import StoreError
from pvm_core.evidence.page import evidence_stage
from pvm_core.evidence.sheet import Rect, fit, resized
from pvm_core.images import encode_jpeg

_PAPER: Final = 244
_GAP: Final = 8


def thumbnail(files: Sequence[bytes], width: int = 600, height: int = 268, quality: int = 80) -> bytes:
    """A JPEG of `width` x `height`: of one file, an evidence picture, the part where product and frame stand
    side by side; of two files both pictures.

    Raises:
        StoreError: ``media.missing``: a picture cannot be read.
    """
    # Decoded at half size: twice as fast, and still larger than what is shown.
    read = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_COLOR_2) for data in files]
    pictures = [np.asarray(cv2.cvtColor(one, cv2.COLOR_BGR2RGB), np.uint8) for one in read if one is not None]
    if len(pictures) < len(files):
        raise StoreError("media.missing", "thumbnail", "a picture cannot be read", "Run the job again")
    if len(pictures) == 1:
        pictures = [evidence_stage(pictures[0])]
    page = np.full((height, width, 3), _PAPER, np.uint8)
    room = (width - _GAP * (len(pictures) - 1)) // len(pictures)
    for n, picture in enumerate(pictures):
        at = fit(picture.shape, Rect(n * (room + _GAP), 0, room, height))
        page[at.y : at.bottom, at.x : at.right] = resized(picture, at.w, at.h)
    return encode_jpeg(page, quality)
