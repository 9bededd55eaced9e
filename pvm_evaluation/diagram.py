"""The reliability diagram of the final score as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from pvm_core.proportions import lower_bound
from pvm_evaluation.metrics import Bin

SIZE: Final = (720, 560)
_LEFT, _TOP, _SIDE = 90, 60, 420
_INK, _PALE, _BAR, _LINE = (32, 36, 44), (206, 210, 218), (46, 116, 181), (200, 80, 50)


def draw_reliability(bins: Sequence[Bin], title: str) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8: share of true matches over the score, a point a bin, its number beside it.

    The whisker is the two-sided 90 % Clopper-Pearson interval; a calibrated score lies on the diagonal.
    """
    from PIL import Image, ImageDraw

    from pvm_core.evidence.typography import bundled_face

    picture = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(picture)
    small, large = bundled_face("figo", 15), bundled_face("figbo", 19)
    pen.text((_LEFT, 18), title, fill=_INK, font=large)
    for tenth in range(0, 11, 2):
        x, y = _spot(tenth / 10, tenth / 10)
        pen.line([(x, _TOP), (x, _TOP + _SIDE)], fill=_PALE)
        pen.line([(_LEFT, y), (_LEFT + _SIDE, y)], fill=_PALE)
        pen.text((x, _TOP + _SIDE + 16), f"{tenth / 10:.1f}", fill=_INK, font=small, anchor="mm")
        pen.text((_LEFT - 12, y), f"{tenth / 10:.1f}", fill=_INK, font=small, anchor="rm")
    pen.line([_spot(0, 0), _spot(1, 1)], fill=_LINE, width=2)
    pen.text((_LEFT + _SIDE / 2, _TOP + _SIDE + 46), "score", fill=_INK, font=small, anchor="mm")
    pen.text((_LEFT, _TOP - 14), "share of true matches", fill=_INK, font=small, anchor="lm")
    for place, b in enumerate(bins):
        if b.count:
            # Neighbours near the floor would write over each other.
            _bin(pen, b, small, 14 if b.true > 0.5 else -14 - 16 * (place % 2))
    return np.asarray(picture, np.uint8)


def _spot(x: float, y: float) -> tuple[float, float]:
    return _LEFT + x * _SIDE, _TOP + (1 - y) * _SIDE


def _bin(pen: object, b: Bin, face: object, offset: float) -> None:
    from PIL import ImageDraw, ImageFont

    if not isinstance(pen, ImageDraw.ImageDraw) or not isinstance(face, ImageFont.FreeTypeFont):
        raise TypeError("a pen and a face of Pillow are asked for")
    hits = round(b.true * b.count)
    low, high = lower_bound(hits, b.count), 1 - lower_bound(b.count - hits, b.count)
    x, y = _spot(b.mean, b.true)
    pen.line([_spot(b.mean, low), _spot(b.mean, high)], fill=_BAR, width=2)
    pen.ellipse([x - 5, y - 5, x + 5, y + 5], fill=_BAR)
    pen.text((x + 8, y + offset), f"{b.count}", fill=_INK, font=face, anchor="lm")
