"""Small pictures of many pictures: contact sheets, sheets with captions, masks laid over pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from pvm_core.evidence.sheet import CARD, HAIRLINE, INK, MUTED, Page, Rect, fit
from pvm_core.images import Rgb

_GAP: Final = 10
_CAPTION: Final = 40
#: Where pictures are cut out: what a mask drops is tinted with this.
_DROPPED: Final = (214, 62, 92)
_EDGE: Final = (20, 190, 120)
#: A JPEG of a sheet is written at the first of these qualities that fits.
_QUALITIES: Final = (86, 80, 72, 64, 55, 45)


def contact_sheet(
    pictures: Sequence[Rgb], columns: int | None = None, cell: int = 180, max_width: int = 1200
) -> Rgb:
    """Pictures in a grid, each whole, on paper; RGB uint8.

    Args:
        pictures: RGB uint8 (H, W, 3) of any proportions; none gives a sheet that says so.
        columns: pictures in a row; default about a third wider than high.
        cell: side of a picture's place in pixels; less where the sheet would exceed `max_width`.
    """
    return preview_sheet([(rgb, "") for rgb in pictures], columns, cell, max_width)


def preview_sheet(
    pictures: Sequence[tuple[Rgb, str]], columns: int | None = None, cell: int = 180, max_width: int = 1200
) -> Rgb:
    """Pictures in a grid, each with a caption of at most two parts divided by a line break."""
    if not pictures:
        page = Page(360, 90)
        page.text(180, 51, "no pictures", 18, MUTED, align="centre")
        return page.finish()
    across = columns or min(len(pictures), max(round((1.6 * len(pictures)) ** 0.5), 1))
    cell = max(min(cell, (max_width - _GAP) // across - _GAP), 24)
    caption = _CAPTION if any(text for _, text in pictures) else 0
    rows = -(-len(pictures) // across)
    page = Page(across * (cell + _GAP) + _GAP, rows * (cell + caption + _GAP) + _GAP)
    for number, (rgb, text) in enumerate(pictures):
        x = _GAP + number % across * (cell + _GAP)
        y = _GAP + number // across * (cell + caption + _GAP)
        page.box(Rect(x, y, cell, cell + caption), CARD, 6, HAIRLINE)
        page.picture(rgb, fit(rgb.shape, Rect(x + 4, y + 4, cell - 8, cell - 8)), 3)
        first, _, second = text.partition("\n")
        if first:
            page.text(x + 6, y + cell + 12, first, 13, INK, "bold", room=cell - 12)
        if second:
            page.text(x + 6, y + cell + 30, second, 12, MUTED, room=cell - 12)
    return page.finish()


def mask_overlay(rgb: Rgb, mask: np.ndarray | None) -> Rgb:
    """`rgb` with what `mask` drops dimmed and tinted and the product's edge drawn; as it is without a mask.

    Args:
        rgb: uint8 (H, W, 3).
        mask: uint8 (H, W), 255 = product; another size is scaled to the picture's; or None.
    """
    if mask is None:
        return rgb.copy()
    high, wide = rgb.shape[:2]
    if mask.shape != (high, wide):
        mask = np.asarray(cv2.resize(mask, (wide, high), interpolation=cv2.INTER_NEAREST))
    kept = mask > 127
    tint = (rgb.astype(np.uint16) * 2 + np.asarray(_DROPPED, np.uint16) * 3) // 5
    result = np.where(kept[..., None], rgb, tint.astype(np.uint8))
    edges, _ = cv2.findContours(kept.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    result = np.ascontiguousarray(result)
    cv2.drawContours(result, edges, -1, _EDGE, max(round(max(high, wide) / 300), 1), cv2.LINE_AA)
    return np.asarray(result, np.uint8)


def encode_within(rgb: Rgb, max_bytes: int) -> bytes:
    """`rgb` as a JPEG of at most `max_bytes`: lower quality first, then a smaller picture.

    Raises:
        ValueError: not even a picture 16 pixels wide is that small.
    """
    while True:
        for quality in _QUALITIES:
            data: bytes = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[
                1
            ].tobytes()
            if len(data) <= max_bytes:
                return data
        high, wide = rgb.shape[:2]
        if max(high, wide) < 16:
            raise ValueError(f"no JPEG of at most {max_bytes} bytes")
        rgb = np.asarray(
            cv2.resize(rgb, (max(wide * 4 // 5, 1), max(high * 4 // 5, 1)), interpolation=cv2.INTER_AREA),
            np.uint8,
        )
