"""Printed design: the flat artwork of a pack's faces, laid out from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from PIL import ImageDraw

from pvm_core.evidence.typography import bundled_face
from pvm_demo.heroes import HEROES
from pvm_demo.names import SLOGANS
from pvm_demo.paint import (
    DISPLAY_FACES,
    Colour,
    Rgb,
    array,
    blob,
    canvas,
    face_for,
    gradient,
    hsv,
    ink_on,
    letter,
    mix,
    noise,
    polygon,
    ramp,
)

Layout = Literal["band", "window", "diagonal", "full", "minimal"]
LAYOUTS: tuple[Layout, ...] = ("band", "window", "diagonal", "full", "minimal")
#: Hues packs are really printed in: reds, oranges, ochre, greens, teals and blues, a few purples.
GROUND_HUES = (0.0, 0.03, 0.07, 0.11, 0.14, 0.28, 0.36, 0.44, 0.52, 0.56, 0.59, 0.62, 0.66, 0.76, 0.93)
ACCENT_HUES = (0.0, 0.02, 0.06, 0.1, 0.13, 0.22, 0.33, 0.4, 0.48, 0.55, 0.6, 0.65, 0.78, 0.92)
#: Natural hues of what a hero shows; a hero not named here takes any.
HERO_HUES = {
    "fruit": (0.0, 0.03, 0.07, 0.11, 0.15, 0.2, 0.27, 0.78, 0.95),
    "landscape": (0.02, 0.06, 0.1, 0.52, 0.57, 0.62),
    "poster": (0.0, 0.03, 0.06, 0.09, 0.5, 0.55, 0.6),
    "animal": (0.04, 0.07, 0.1, 0.14, 0.55, 0.92),
    "leaves": (0.0, 0.1, 0.14, 0.7, 0.8, 0.9, 0.95),
}


def hero_hue(rng: np.random.Generator, hero: str) -> float:
    """A hue in turns that `hero` may have."""
    natural = HERO_HUES.get(hero)
    return float(rng.random() if natural is None else rng.choice(natural) + rng.normal(0, 0.01))


@dataclass(frozen=True)
class LabelStyle:
    """What the artwork of a product is drawn from.

    Siblings share everything but the variant: `flavour` and some of the hues.

    Attributes:
        seed: of forms and layout; the same for siblings.
        brand, name, flavour, weight, slogan: the words.
        base_hue, accent_hue, hero_hue, ribbon_hue: hues in turns; the ribbon carries the flavour.
        pale: light ground with dark ink, or the reverse.
        layout: arrangement of the front.
        hero: name of the picture on the front, see `heroes.HEROES`.
        face: name of the display typeface.
    """

    seed: int
    brand: str
    name: str
    flavour: str
    weight: str
    slogan: str
    base_hue: float
    accent_hue: float
    hero_hue: float
    ribbon_hue: float
    pale: bool
    layout: Layout
    hero: str
    face: str

    @property
    def base(self) -> Colour:
        """The ground colour."""
        return hsv(self.base_hue, 0.12, 0.96) if self.pale else hsv(self.base_hue, 0.72, 0.5)

    @property
    def accent(self) -> Colour:
        """The colour of bands and panels."""
        return hsv(self.accent_hue, 0.78, 0.78)

    @property
    def ribbon(self) -> Colour:
        """The colour of the ribbon with the flavour."""
        return hsv(self.ribbon_hue, 0.78, 0.74)


def front(style: LabelStyle, height: int, width: int) -> Rgb:
    """The front face, RGB (height, width, 3)."""
    rng = np.random.default_rng([style.seed, 1])
    ground = _ground(rng, style, height, width)
    window, title_y, brand_y = _arrange(style.layout)
    ground = _accent_area(ground, rng, style)
    x0, y0, x1, y1 = (int(v * s) for v, s in zip(window, (width, height, width, height), strict=True))
    form = np.random.default_rng([style.seed, 2])
    ground[y0:y1, x0:x1] = HEROES[style.hero](ground[y0:y1, x0:x1].copy(), form, style.hero_hue)
    image, draw = canvas(ground)
    _title(draw, style, width, height, title_y, over_hero=style.layout == "full")
    _logo(draw, rng, style, width, height, brand_y)
    _ribbon(draw, style, width, height, title_y + 0.125)
    _footer(draw, rng, style, width, height)
    if rng.random() < 0.55:
        _burst(
            draw, rng, style, width * rng.uniform(0.78, 0.86), height * rng.uniform(0.3, 0.42), width * 0.11
        )
    return _printed(array(image), rng)


def cover(style: LabelStyle, height: int, width: int) -> Rgb:
    """The front of a film's or a book's cover: the picture fills it."""
    rng = np.random.default_rng([style.seed, 3])
    form = np.random.default_rng([style.seed, 2])
    ground = HEROES[style.hero](gradient(height, width, style.base, style.accent, 1.2), form, style.hero_hue)
    low = rng.random() < 0.6
    shade = (
        np.linspace(0, 1, height, dtype=np.float32)[:, None] ** 3
        if low
        else np.linspace(1, 0, height, dtype=np.float32)[:, None] ** 3
    )
    ground = mix(ground, (8, 8, 12), np.repeat(shade * 0.75, width, axis=1))
    image, draw = canvas(ground)
    y = height * (0.74 if low else 0.14)
    words = style.name.upper().split(" ")
    half = (len(words) + 1) // 2
    rows = [" ".join(words[:half]), " ".join(words[half:])] if len(words) > 1 else words
    for number, row in enumerate(filter(None, rows)):
        face = face_for(row, style.face, width * 0.86, int(height * 0.105))
        letter(draw, (width / 2 + 3, y + number * height * 0.1 + 4), row, face, (0, 0, 0))
        letter(draw, (width / 2, y + number * height * 0.1), row, face, hsv(style.accent_hue, 0.35, 1.0))
    draw.rectangle([0, height * 0.02, width, height * 0.065], fill=(*style.ribbon, 230))
    letter(
        draw,
        (width / 2, height * 0.043),
        style.flavour.upper(),
        bundled_face("figbo", int(height * 0.026)),
        ink_on(style.ribbon),
    )
    _credits(draw, rng, width, height * (0.925 if low else 0.9))
    _logo(draw, rng, style, width, height, 0.12 if low else 0.84, scale=0.5)
    return _printed(array(image), rng)


def side(style: LabelStyle, height: int, width: int, number: int) -> Rgb:
    """A side face: facts table, barcode, paragraphs."""
    rng = np.random.default_rng([style.seed, 4, number])
    ground = _ground(rng, style, height, width)
    image, draw = canvas(ground)
    ink = ink_on(style.base)
    draw.rectangle([0, 0, width, height * 0.1], fill=style.accent)
    letter(
        draw,
        (width / 2, height * 0.05),
        style.brand,
        face_for(style.brand, style.face, width * 0.8, int(height * 0.07)),
        ink_on(style.accent),
    )
    y = _paragraph(draw, rng, width * 0.1, height * 0.15, width * 0.8, 6, ink)
    _table(draw, rng, [width * 0.1, y + 8, width * 0.9, y + height * 0.28], ink)
    _paragraph(draw, rng, width * 0.1, y + height * 0.32, width * 0.8, 5, ink)
    _barcode(draw, rng, [width * 0.2, height * 0.82, width * 0.8, height * 0.94])
    return _printed(array(image), rng)


def top(style: LabelStyle, height: int, width: int) -> Rgb:
    """A top face: the brand once more."""
    rng = np.random.default_rng([style.seed, 5])
    image, draw = canvas(_ground(rng, style, height, width))
    draw.rectangle([0, height * 0.72, width, height * 0.84], fill=style.accent)
    _logo(draw, rng, style, width, int(height * 1.6), 0.24, scale=0.8)
    return _printed(array(image), rng)


def wrap_around(style: LabelStyle, height: int, width: int) -> Rgb:
    """The label around a can or bottle, fronts at a quarter and three quarters of its width."""
    half = front(style, height, width // 2)
    back = side(style, height, width - 2 * (width // 4) - width // 4, 0)
    quarter = width // 4
    label = np.zeros((height, width, 3), np.uint8)
    label[:, : width // 2] = half
    rest = width - width // 2
    label[:, width // 2 :] = cv2.resize(back, (rest, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.roll(label, quarter // 8, axis=1))


def _arrange(layout: Layout) -> tuple[tuple[float, float, float, float], float, float]:
    """Window of the hero (x0, y0, x1, y1), height of the title and of the logo, as shares."""
    return {
        "band": ((0.0, 0.5, 1.0, 0.905), 0.275, 0.095),
        "window": ((0.1, 0.46, 0.9, 0.86), 0.255, 0.085),
        "diagonal": ((0.05, 0.49, 0.95, 0.89), 0.27, 0.09),
        "full": ((0.0, 0.0, 1.0, 1.0), 0.31, 0.1),
        "minimal": ((0.2, 0.47, 0.8, 0.82), 0.265, 0.09),
    }[layout]


def _ground(rng: np.random.Generator, style: LabelStyle, height: int, width: int) -> Rgb:
    base = np.asarray(style.base, np.float32)
    deep: Colour = (int(base[0] * 0.8), int(base[1] * 0.8), int(base[2] * 0.82))
    picture = gradient(height, width, style.base, deep, float(rng.uniform(0.9, 2.2)))
    image, draw = canvas(picture)
    kind = int(rng.integers(5))
    tint = (*hsv(style.base_hue + 0.04, 0.5, 0.75 if style.pale else 0.72), 70)
    step = width / rng.uniform(9, 18)
    if kind == 0:
        for x in np.arange(-height, width + height, step):
            draw.line([(x, 0), (x + height * 0.5, height)], fill=tint, width=max(int(step / 5), 1))
    elif kind == 1:
        for row, y in enumerate(np.arange(0, height, step)):
            for x in np.arange((row % 2) * step / 2, width, step):
                draw.ellipse([x - step / 6, y - step / 6, x + step / 6, y + step / 6], fill=tint)
    elif kind == 2:
        for _ in range(26):
            shape = blob(rng, 6, 0.3) * rng.uniform(0.02, 0.12) * width + (
                rng.uniform(0, width),
                rng.uniform(0, height),
            )
            draw.polygon(polygon(shape), outline=tint, width=2)
    elif kind == 3:
        for number in range(14):
            r = (number + 1) * step
            draw.arc([width * 0.1 - r, height - r, width * 0.1 + r, height + r], 180, 360, fill=tint, width=3)
    return array(image)


def _accent_area(picture: Rgb, rng: np.random.Generator, style: LabelStyle) -> Rgb:
    height, width = picture.shape[:2]
    image, draw = canvas(picture)
    if style.layout == "band":
        wave = height * 0.475 + height * 0.02 * np.sin(np.linspace(0, rng.uniform(2, 7), width))
        outline = np.stack([np.arange(width), wave], axis=1)
        draw.polygon([*polygon(outline), (width, height), (0, height)], fill=style.accent)
    elif style.layout == "diagonal":
        draw.polygon(
            [(0, height * 0.62), (width, height * 0.4), (width, height), (0, height)], fill=style.accent
        )
    elif style.layout == "window":
        draw.rounded_rectangle(
            [width * 0.07, height * 0.44, width * 0.93, height * 0.88], width * 0.04, fill=style.accent
        )
    elif style.layout == "minimal":
        draw.ellipse([width * 0.08, height * 0.42, width * 0.92, height * 0.88], fill=style.accent)
    return array(image)


def _title(
    draw: ImageDraw.ImageDraw, style: LabelStyle, width: int, height: int, y: float, *, over_hero: bool
) -> None:
    words = style.name.split(" ")
    half = (len(words) + 1) // 2
    rows = [" ".join(words[:half]), " ".join(words[half:])] if len(words) > 1 else words
    ink = ink_on(style.base)
    for number, row in enumerate(filter(None, rows)):
        face = face_for(row, style.face, width * 0.84, int(height * 0.075))
        at = (width / 2, height * (y - 0.04 + 0.078 * number))
        options = {"stroke_width": max(width // 90, 2), "stroke_fill": style.base} if over_hero else {}
        letter(draw, at, row, face, ink, **options)


def _logo(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    style: LabelStyle,
    width: int,
    height: int,
    y: float,
    scale: float = 1.0,
) -> None:
    face = face_for(style.brand, style.face, width * 0.5 * scale, int(height * 0.075 * scale))
    reach = face.getlength(style.brand) / 2 + width * 0.06 * scale
    cx, cy, tall = width / 2, height * y, height * 0.058 * scale
    plate = hsv(style.base_hue + 0.52, 0.75, 0.55 if style.pale else 0.9)
    form = style.seed % 4
    if form == 0:
        draw.ellipse(
            [cx - reach, cy - tall, cx + reach, cy + tall], fill=plate, outline=(255, 255, 255), width=3
        )
    elif form == 1:
        draw.rounded_rectangle(
            [cx - reach, cy - tall * 0.8, cx + reach, cy + tall * 0.8], tall * 0.3, fill=plate
        )
    elif form == 2:
        draw.polygon(
            [
                (cx - reach, cy - tall),
                (cx + reach, cy - tall),
                (cx + reach * 0.86, cy),
                (cx + reach, cy + tall),
                (cx - reach, cy + tall),
                (cx - reach * 0.86, cy),
            ],
            fill=plate,
        )
    else:
        draw.line([(cx - reach, cy + tall), (cx + reach, cy + tall)], fill=plate, width=max(int(tall / 6), 2))
        draw.line([(cx - reach, cy - tall), (cx + reach, cy - tall)], fill=plate, width=max(int(tall / 6), 2))
    letter(draw, (cx, cy), style.brand, face, ink_on(style.base) if form == 3 else ink_on(plate))


def _ribbon(draw: ImageDraw.ImageDraw, style: LabelStyle, width: int, height: int, y: float) -> None:
    tall = height * 0.04
    face = face_for(style.flavour, "figbo", width * 0.6, int(tall * 1.35))
    reach = face.getlength(style.flavour) / 2 + width * 0.05
    cx, cy = width / 2, height * y
    notch = tall * 0.6
    draw.polygon(
        [
            (cx - reach - notch, cy - tall),
            (cx + reach + notch, cy - tall),
            (cx + reach, cy),
            (cx + reach + notch, cy + tall),
            (cx - reach - notch, cy + tall),
            (cx - reach, cy),
        ],
        fill=style.ribbon,
        outline=(255, 255, 255),
    )
    letter(draw, (cx, cy), style.flavour, face, ink_on(style.ribbon))


def _footer(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, style: LabelStyle, width: int, height: int
) -> None:
    y = height * 0.94
    draw.rectangle([0, height * 0.905, width, height], fill=style.base)
    ink = ink_on(style.base)
    letter(
        draw,
        (width * 0.06, y),
        style.weight,
        bundled_face("figbo", max(int(height * 0.034), 8)),
        ink,
        anchor="lm",
    )
    letter(
        draw,
        (width * 0.94, y - height * 0.012),
        style.slogan,
        face_for(style.slogan, "figo", width * 0.52, int(height * 0.026)),
        ink,
        anchor="rm",
    )
    small = "".join(rng.choice(list("abcdeghilmnoprstu  "), 44))
    letter(
        draw,
        (width * 0.94, y + height * 0.02),
        small,
        face_for(small, "figo", width * 0.52, int(height * 0.016)),
        ink,
        anchor="rm",
    )


def _burst(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, style: LabelStyle, x: float, y: float, radius: float
) -> None:
    spikes = 2 * int(rng.integers(9, 15))
    turn = np.linspace(0, 2 * np.pi, spikes, endpoint=False)
    reach = np.where(np.arange(spikes) % 2, 0.82, 1.0) * radius
    colour = hsv(rng.uniform(0.11, 0.15) if rng.random() < 0.6 else rng.uniform(0.95, 1.0), 0.85, 0.96)
    draw.polygon(polygon(np.stack([x + reach * np.cos(turn), y + reach * np.sin(turn)], axis=1)), fill=colour)
    for number, word in enumerate(
        str(rng.choice(("NEW 2x", "MỚI -30%", "BEST buy", "BIO 100%", "ECO plus"))).split()
    ):
        letter(
            draw,
            (x, y + (number - 0.5) * radius * 0.62),
            word,
            face_for(word, "figbo", radius * 1.3, int(radius * 0.6)),
            ink_on(colour),
        )


def _paragraph(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    x: float,
    y: float,
    room: float,
    rows: int,
    ink: Colour,
) -> float:
    size = max(int(room / 17), 7)
    face = bundled_face("figo", size)
    letters = list("aaeeiioubcdghklmnprstvxy")
    for _ in range(rows):
        line = " ".join("".join(rng.choice(letters, int(rng.integers(2, 8)))) for _ in range(5))
        draw.text((x, y), line[:26], font=face, fill=(*ink, 220))
        y += size * 1.3
    return y


def _table(draw: ImageDraw.ImageDraw, rng: np.random.Generator, box: list[float], ink: Colour) -> None:
    draw.rectangle(box, outline=ink, width=2)
    face = bundled_face("fimo", max(int((box[2] - box[0]) / 16), 7))
    rows = 6
    for row in range(rows):
        y = box[1] + (box[3] - box[1]) * row / rows
        draw.line([(box[0], y), (box[2], y)], fill=ink, width=1)
        draw.text(
            (box[0] + 5, y + 3),
            str(rng.choice(("Energy", "Fat", "Fibre", "Weight", "Cotton", "Foam"))),
            font=face,
            fill=ink,
        )
        draw.text((box[2] - 5, y + 3), f"{rng.integers(1, 990)} g", font=face, fill=ink, anchor="ra")


def _barcode(draw: ImageDraw.ImageDraw, rng: np.random.Generator, box: list[float]) -> None:
    draw.rectangle(box, fill=(255, 255, 255))
    x = box[0] + 8
    while x < box[2] - 8:
        bar = float(rng.integers(1, 4)) * (box[2] - box[0]) / 120
        draw.rectangle([x, box[1] + 5, x + bar, box[3] - 16], fill=(12, 12, 12))
        x += bar + float(rng.integers(1, 4)) * (box[2] - box[0]) / 120
    digits = "".join(str(d) for d in rng.integers(0, 10, 13))
    letter(draw, ((box[0] + box[2]) / 2, box[3] - 8), digits, bundled_face("fimo", 11), (12, 12, 12))


def _credits(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, y: float) -> None:
    face = bundled_face("figo", max(width // 46, 7))
    for row in range(3):
        words = ["".join(rng.choice(list("ABCDEGHILMNORSTU"), int(rng.integers(3, 8)))) for _ in range(7)]
        letter(draw, (width / 2, y + row * width / 34), " ".join(words)[:52], face, (222, 222, 226))


def _printed(picture: Rgb, rng: np.random.Generator) -> Rgb:
    """Paper and ink: a faint grain, so that no area is perfectly flat."""
    height, width = picture.shape[:2]
    grain = ramp(noise(rng, height, width, 6, 2), (122, 122, 122), (134, 134, 134)).astype(np.int16) - 128
    return np.asarray(np.clip(picture.astype(np.int16) + grain, 0, 255), np.uint8)


def random_style(
    rng: np.random.Generator, brand: str, name: str, flavour: str, weight: str, hero: str
) -> LabelStyle:
    """A style from `rng` for the words given."""
    hue = float(rng.choice(GROUND_HUES) + rng.normal(0, 0.012))
    return LabelStyle(
        seed=int(rng.integers(2**31)),
        brand=brand,
        name=name,
        flavour=flavour,
        weight=weight,
        slogan=str(rng.choice(SLOGANS)),
        base_hue=hue,
        accent_hue=float(rng.choice(ACCENT_HUES) + rng.normal(0, 0.012)),
        hero_hue=hero_hue(rng, hero),
        ribbon_hue=float(rng.choice(ACCENT_HUES)),
        pale=bool(rng.random() < 0.5),
        layout=LAYOUTS[int(rng.integers(len(LAYOUTS)))],
        hero=hero,
        face=str(rng.choice(DISPLAY_FACES)),
    )


def picture_only(style: LabelStyle, height: int, width: int) -> Rgb:
    """A print without words: what a cushion or a mug carries."""
    rng = np.random.default_rng([style.seed, 6])
    form = np.random.default_rng([style.seed, 2])
    ground = gradient(height, width, style.base, hsv(style.base_hue + 0.05, 0.3, 0.9), 1.1)
    return _printed(HEROES[style.hero](ground, form, style.hero_hue), rng)
