"""A page to draw on: boxes with smooth corners, fitted pictures, set text. Pixels are RGB uint8."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pvm_core.evidence.typography import Weight, runs, shorten, width
from pvm_core.images import Rgb

Colour: TypeAlias = tuple[int, int, int]

PAPER: Final[Colour] = (246, 245, 241)
CARD: Final[Colour] = (255, 255, 255)
INK: Final[Colour] = (27, 29, 34)
#: 5.6 : 1 on the card, 5.1 : 1 on paper (WCAG AA asks for 4.5).
MUTED: Final[Colour] = (98, 103, 112)
HAIRLINE: Final[Colour] = (222, 219, 211)
TRACK: Final[Colour] = (236, 234, 228)


@dataclass(frozen=True)
class Rect:
    """A place on a page, pixels."""

    x: int
    y: int
    w: int
    h: int

    @property
    def right(self) -> int:
        """The first column right of it."""
        return self.x + self.w

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.y + self.h


def fit(shape: tuple[int, ...], room: Rect, *, enlarge: float = 3.0) -> Rect:
    """The largest place of a picture's proportions in `room`, centred; at most `enlarge` times its size."""
    high, wide = shape[0], shape[1]
    scale = min(room.w / wide, room.h / high, enlarge)
    w, h = max(round(wide * scale), 1), max(round(high * scale), 1)
    return Rect(room.x + (room.w - w) // 2, room.y + (room.h - h) // 2, w, h)


def resized(rgb: Rgb, w: int, h: int) -> Rgb:
    """`rgb` at (h, w): area average where it shrinks, cubic where it grows."""
    shrinks = rgb.shape[0] * rgb.shape[1] > w * h
    return np.asarray(
        cv2.resize(rgb, (w, h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC), np.uint8
    )


@lru_cache(maxsize=64)
def _corner(radius: int) -> NDArray[np.float32]:
    """Coverage of the top left corner of a rounded box, (radius, radius, 1)."""
    big = np.zeros((radius * 4, radius * 4), np.uint8)
    cv2.circle(big, (radius * 4, radius * 4), radius * 4, 255, -1)
    small = cv2.resize(big, (radius, radius), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)[..., None] / np.float32(255)


class Page:
    """A picture under construction; text is set last, in one go, above everything else."""

    def __init__(self, w: int, h: int, colour: Colour = PAPER) -> None:
        self.rgb: Rgb = np.empty((h, w, 3), np.uint8)
        cv2.rectangle(self.rgb, (0, 0), (w, h), colour, -1)
        self._texts: list[tuple[float, float, str, int, Weight, Colour]] = []

    def box(self, at: Rect, colour: Colour, radius: int = 0, border: Colour | None = None) -> None:
        """A filled box with smooth corners, with a border one pixel wide where given."""
        if border is not None:
            self.box(at, border, radius)
            self.box(Rect(at.x + 1, at.y + 1, at.w - 2, at.h - 2), colour, max(radius - 1, 0))
            return
        radius = min(radius, at.w // 2, at.h // 2)
        if at.w <= 0 or at.h <= 0:
            return
        before = self.rgb[at.y : at.bottom, at.x : at.right].copy() if radius else None
        cv2.rectangle(self.rgb, (at.x, at.y), (at.right - 1, at.bottom - 1), colour, -1)
        if before is not None:
            self._round(at, before, radius)

    def picture(self, rgb: Rgb, at: Rect, radius: int = 6) -> None:
        """`rgb` scaled into `at`, corners smooth."""
        radius = min(radius, at.w // 2, at.h // 2)
        before = self.rgb[at.y : at.bottom, at.x : at.right].copy()
        self.rgb[at.y : at.bottom, at.x : at.right] = resized(rgb, at.w, at.h)
        if radius:
            self._round(at, before, radius)

    def _round(self, at: Rect, before: Rgb, radius: int) -> None:
        quarter = _corner(radius)
        place = self.rgb[at.y : at.bottom, at.x : at.right]
        for rows, flip_y in ((slice(0, radius), False), (slice(at.h - radius, at.h), True)):
            for columns, flip_x in ((slice(0, radius), False), (slice(at.w - radius, at.w), True)):
                share = quarter[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
                new, old = place[rows, columns], before[rows, columns]
                place[rows, columns] = (new * share + old * (1 - share) + 0.5).astype(np.uint8)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: int,
        colour: Colour = INK,
        weight: Weight = "regular",
        *,
        room: float | None = None,
        align: Literal["left", "right", "centre"] = "left",
    ) -> float:
        """One line whose baseline is at `y`; returns its width. Longer than `room`: cut with an ellipsis."""
        line = text if room is None else shorten(text, size, room, weight)
        wide = width(line, size, weight)
        start = {"left": x, "right": x - wide, "centre": x - wide / 2}[align]
        self._texts.append((start, y, line, size, weight, colour))
        return wide

    def finish(self) -> Rgb:
        """The page with its text, RGB uint8 (h, w, 3)."""
        image = Image.fromarray(self.rgb)
        draw = ImageDraw.Draw(image)
        for x, y, line, size, weight, colour in self._texts:
            for run in runs(line, size, weight):
                draw.text((x, y), run.text, font=run.face, fill=colour, anchor="ls")
                x += run.face.getlength(run.text)
        return np.array(image)
