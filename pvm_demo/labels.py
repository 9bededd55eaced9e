"""Printed design: the flat artwork of a pack's faces, laid out from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from PIL import ImageDraw
from PIL.ImageFont import FreeTypeFont

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
    disc,
    face_for,
    gradient,
    hsv,
    ink_on,
    letter,
    mix,
    noise,
    pick,
    polygon,
    ramp,
    word,
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


@dataclass(frozen=True, eq=False)
class _Face:
    """A face while it is printed: its drawing context, style, size in pixels and source of random forms."""

    draw: ImageDraw.ImageDraw
    style: LabelStyle
    width: int
    height: int
    rng: np.random.Generator

    def text(self, x: float, y: float, text: str, face: FreeTypeFont, ink: Colour, **options: Any) -> None:
        """`text` around (x, y), shares of the face."""
        letter(self.draw, (self.width * x, self.height * y), text, face, ink, **options)

    def fitted(self, text: str, name: str, room: float, tallest: float) -> FreeTypeFont:
        """The face `name` in the largest size in which `text` fits; `room` and `tallest` are shares."""
        return face_for(text, name, self.width * room, int(self.height * tallest))

    def band(self, top: float, bottom: float, fill: tuple[int, ...]) -> None:
        """A band from side to side; `top` and `bottom` are shares."""
        self.draw.rectangle([0, self.height * top, self.width, self.height * bottom], fill=fill)


def _print(style: LabelStyle, ground: Rgb, rng: np.random.Generator, *layers: Callable[[_Face], None]) -> Rgb:
    """`ground` with `layers` drawn on it in order, and the grain of paper."""
    height, width = ground.shape[:2]
    image, draw = canvas(ground)
    face = _Face(draw, style, width, height, rng)
    for layer in layers:
        layer(face)
    return _printed(array(image), rng)


def _rng(style: LabelStyle, *part: int) -> np.random.Generator:
    """The source of one part's random forms; 2 is the hero's, the same on every face."""
    return np.random.default_rng([style.seed, *part])


def front(style: LabelStyle, height: int, width: int) -> Rgb:
    """The front face, RGB (height, width, 3)."""
    rng = _rng(style, 1)
    ground = _ground(rng, style, height, width)
    window, title_y, brand_y = _ARRANGEMENTS[style.layout]
    ground = _accent_area(ground, rng, style)
    x0, y0, x1, y1 = (int(v * s) for v, s in zip(window, (width, height, width, height), strict=True))
    ground[y0:y1, x0:x1] = HEROES[style.hero](ground[y0:y1, x0:x1].copy(), _rng(style, 2), style.hero_hue)
    return _print(
        style,
        ground,
        rng,
        lambda face: _title(face, title_y),
        lambda face: _logo(face, brand_y),
        lambda face: _ribbon(face, title_y + 0.125),
        _footer,
        _burst,
    )


def cover(style: LabelStyle, height: int, width: int) -> Rgb:
    """The front of a film's or a book's cover: the picture fills it."""
    rng = _rng(style, 3)
    ground = gradient(height, width, style.base, style.accent, 1.2)
    ground = HEROES[style.hero](ground, _rng(style, 2), style.hero_hue)
    low = rng.random() < 0.6
    ends = (0, 1) if low else (1, 0)
    shade = np.linspace(*ends, height, dtype=np.float32)[:, None] ** 3
    ground = mix(ground, (8, 8, 12), np.repeat(shade * 0.75, width, axis=1))
    return _print(
        style,
        ground,
        rng,
        lambda face: _film_title(face, 0.74 if low else 0.14),
        lambda face: _credits(face, 0.925 if low else 0.9),
        lambda face: _logo(face, 0.12 if low else 0.84, scale=0.5),
    )


def side(style: LabelStyle, height: int, width: int, number: int) -> Rgb:
    """A side face: facts table, barcode, paragraphs."""
    rng = _rng(style, 4, number)
    return _print(style, _ground(rng, style, height, width), rng, _side_print)


def top(style: LabelStyle, height: int, width: int) -> Rgb:
    """A top face with the brand."""
    rng = _rng(style, 5)
    return _print(style, _ground(rng, style, height, width), rng, _top_print)


def picture_only(style: LabelStyle, height: int, width: int) -> Rgb:
    """A print without words: what a cushion or a mug carries."""
    ground = gradient(height, width, style.base, hsv(style.base_hue + 0.05, 0.3, 0.9), 1.1)
    return _printed(HEROES[style.hero](ground, _rng(style, 2), style.hero_hue), _rng(style, 6))


#: Window of the hero (x0, y0, x1, y1), height of the title and of the logo, as shares.
_ARRANGEMENTS: Final[dict[Layout, tuple[tuple[float, float, float, float], float, float]]] = {
    "band": ((0.0, 0.5, 1.0, 0.905), 0.275, 0.095),
    "window": ((0.1, 0.46, 0.9, 0.86), 0.255, 0.085),
    "diagonal": ((0.05, 0.49, 0.95, 0.89), 0.27, 0.09),
    "full": ((0.0, 0.0, 1.0, 1.0), 0.31, 0.1),
    "minimal": ((0.2, 0.47, 0.8, 0.82), 0.265, 0.09),
}


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
                disc(draw, x, y, step / 6, fill=tint)
    elif kind == 2:
        for _ in range(26):
            shape = blob(rng, 6, 0.3) * rng.uniform(0.02, 0.12) * width
            at = (rng.uniform(0, width), rng.uniform(0, height))
            draw.polygon(polygon(shape + at), outline=tint, width=2)
    elif kind == 3:
        for number in range(14):
            r = (number + 1) * step
            draw.arc([width * 0.1 - r, height - r, width * 0.1 + r, height + r], 180, 360, fill=tint, width=3)
    return array(image)


def _accent_area(picture: Rgb, rng: np.random.Generator, style: LabelStyle) -> Rgb:
    height, width = picture.shape[:2]
    image, draw = canvas(picture)
    foot = [(width, height), (0, height)]
    if style.layout == "band":
        wave = height * 0.475 + height * 0.02 * np.sin(np.linspace(0, rng.uniform(2, 7), width))
        draw.polygon([*polygon(np.stack([np.arange(width), wave], axis=1)), *foot], fill=style.accent)
    elif style.layout == "diagonal":
        draw.polygon([(0, height * 0.62), (width, height * 0.4), *foot], fill=style.accent)
    elif style.layout == "window":
        box = [width * 0.07, height * 0.44, width * 0.93, height * 0.88]
        draw.rounded_rectangle(box, width * 0.04, fill=style.accent)
    elif style.layout == "minimal":
        draw.ellipse([width * 0.08, height * 0.42, width * 0.92, height * 0.88], fill=style.accent)
    return array(image)


def _two_rows(name: str) -> list[str]:
    """`name` on one or two rows, cut between words."""
    words = name.split(" ")
    half = (len(words) + 1) // 2
    return [row for row in (" ".join(words[:half]), " ".join(words[half:])) if row]


def _title(face: _Face, y: float) -> None:
    style = face.style
    outlined = {"stroke_width": max(face.width // 90, 2), "stroke_fill": style.base}
    for number, row in enumerate(_two_rows(style.name)):
        font = face.fitted(row, style.face, 0.84, 0.075)
        options: dict[str, Any] = outlined if style.layout == "full" else {}
        face.text(0.5, y - 0.04 + 0.078 * number, row, font, ink_on(style.base), **options)


def _film_title(face: _Face, y: float) -> None:
    style, middle = face.style, face.width / 2
    for number, row in enumerate(_two_rows(style.name.upper())):
        font = face.fitted(row, style.face, 0.86, 0.105)
        at = face.height * y + number * face.height * 0.1
        letter(face.draw, (middle + 3, at + 4), row, font, (0, 0, 0))
        letter(face.draw, (middle, at), row, font, hsv(style.accent_hue, 0.35, 1.0))
    face.band(0.02, 0.065, (*style.ribbon, 230))
    font = bundled_face("figbo", int(face.height * 0.026))
    face.text(0.5, 0.043, style.flavour.upper(), font, ink_on(style.ribbon))


def _logo(face: _Face, y: float, scale: float = 1.0, tall: float = 1.0) -> None:
    """The brand on its plate; `tall` stretches what is measured by the face's height."""
    style, draw, width, height = face.style, face.draw, face.width, int(face.height * tall)
    font = face_for(style.brand, style.face, width * 0.5 * scale, int(height * 0.075 * scale))
    reach = font.getlength(style.brand) / 2 + width * 0.06 * scale
    cx, cy, half = width / 2, height * y, height * 0.058 * scale
    plate = hsv(style.base_hue + 0.52, 0.75, 0.55 if style.pale else 0.9)
    form = style.seed % 4
    if form == 0:
        disc(draw, cx, cy, reach, half, fill=plate, outline=(255, 255, 255), width=3)
    elif form == 1:
        box = [cx - reach, cy - half * 0.8, cx + reach, cy + half * 0.8]
        draw.rounded_rectangle(box, half * 0.3, fill=plate)
    elif form == 2:
        draw.polygon(_flag(cx, cy, (reach, reach * 0.86), half), fill=plate)
    else:
        for edge in (cy + half, cy - half):
            draw.line([(cx - reach, edge), (cx + reach, edge)], fill=plate, width=max(int(half / 6), 2))
    letter(draw, (cx, cy), style.brand, font, ink_on(style.base) if form == 3 else ink_on(plate))


def _flag(cx: float, cy: float, reach: tuple[float, float], half: float) -> list[tuple[float, float]]:
    """A ribbon with notched ends: `reach` from its middle to its tips and to its notches."""
    tip, notch = reach
    return [
        (cx - tip, cy - half),
        (cx + tip, cy - half),
        (cx + notch, cy),
        (cx + tip, cy + half),
        (cx - tip, cy + half),
        (cx - notch, cy),
    ]


def _ribbon(face: _Face, y: float) -> None:
    style, tall = face.style, face.height * 0.04
    font = face_for(style.flavour, "figbo", face.width * 0.6, int(tall * 1.35))
    reach = font.getlength(style.flavour) / 2 + face.width * 0.05
    cx, cy = face.width / 2, face.height * y
    shape = _flag(cx, cy, (reach + tall * 0.6, reach), tall)
    face.draw.polygon(shape, fill=style.ribbon, outline=(255, 255, 255))
    letter(face.draw, (cx, cy), style.flavour, font, ink_on(style.ribbon))


def _footer(face: _Face) -> None:
    style, height = face.style, face.height
    y, ink = height * 0.94, ink_on(style.base)
    face.band(0.905, 1, style.base)
    font = bundled_face("figbo", max(int(height * 0.034), 8))
    letter(face.draw, (face.width * 0.06, y), style.weight, font, ink, anchor="lm")
    small = word(face.rng, "abcdeghilmnoprstu  ", 44)
    for text, at, size in ((style.slogan, y - height * 0.012, 0.026), (small, y + height * 0.02, 0.016)):
        font = face.fitted(text, "figo", 0.52, size)
        letter(face.draw, (face.width * 0.94, at), text, font, ink, anchor="rm")


def _burst(face: _Face) -> None:
    """On some packs: a star with an advertisement."""
    rng, radius = face.rng, face.width * 0.11
    if rng.random() >= 0.55:
        return
    x, y = face.width * rng.uniform(0.78, 0.86), face.height * rng.uniform(0.3, 0.42)
    spikes = 2 * int(rng.integers(9, 15))
    turn = np.linspace(0, 2 * np.pi, spikes, endpoint=False)
    reach = np.where(np.arange(spikes) % 2, 0.82, 1.0) * radius
    colour = hsv(rng.uniform(0.11, 0.15) if rng.random() < 0.6 else rng.uniform(0.95, 1.0), 0.85, 0.96)
    points = np.stack([x + reach * np.cos(turn), y + reach * np.sin(turn)], axis=1)
    face.draw.polygon(polygon(points), fill=colour)
    words = str(rng.choice(("NEW 2x", "MỚI -30%", "BEST buy", "BIO 100%", "ECO plus"))).split()
    for number, text in enumerate(words):
        font = face_for(text, "figbo", radius * 1.3, int(radius * 0.6))
        letter(face.draw, (x, y + (number - 0.5) * radius * 0.62), text, font, ink_on(colour))


def _side_print(face: _Face) -> None:
    style, width, height = face.style, face.width, face.height
    face.band(0, 0.1, style.accent)
    font = face.fitted(style.brand, style.face, 0.8, 0.07)
    face.text(0.5, 0.05, style.brand, font, ink_on(style.accent))
    y = _paragraph(face, height * 0.15, 6)
    _table(face, [width * 0.1, y + 8, width * 0.9, y + height * 0.28])
    _paragraph(face, y + height * 0.32, 5)
    _barcode(face, [width * 0.2, height * 0.82, width * 0.8, height * 0.94])


def _top_print(face: _Face) -> None:
    face.band(0.72, 0.84, face.style.accent)
    _logo(face, 0.24, scale=0.8, tall=1.6)


def _paragraph(face: _Face, y: float, rows: int) -> float:
    size = max(int(face.width * 0.8 / 17), 7)
    font = bundled_face("figo", size)
    for _ in range(rows):
        words = (word(face.rng, "aaeeiioubcdghklmnprstvxy", int(face.rng.integers(2, 8))) for _ in range(5))
        line = " ".join(words)
        face.draw.text((face.width * 0.1, y), line[:26], font=font, fill=(*ink_on(face.style.base), 220))
        y += size * 1.3
    return y


def _table(face: _Face, box: list[float]) -> None:
    draw, ink, rows = face.draw, ink_on(face.style.base), 6
    draw.rectangle(box, outline=ink, width=2)
    font = bundled_face("fimo", max(int((box[2] - box[0]) / 16), 7))
    for row in range(rows):
        y = box[1] + (box[3] - box[1]) * row / rows
        draw.line([(box[0], y), (box[2], y)], fill=ink, width=1)
        fact = str(face.rng.choice(("Energy", "Fat", "Fibre", "Weight", "Cotton", "Foam")))
        draw.text((box[0] + 5, y + 3), fact, font=font, fill=ink)
        draw.text((box[2] - 5, y + 3), f"{face.rng.integers(1, 990)} g", font=font, fill=ink, anchor="ra")


def _barcode(face: _Face, box: list[float]) -> None:
    draw, rng = face.draw, face.rng
    draw.rectangle(box, fill=(255, 255, 255))
    x = box[0] + 8
    while x < box[2] - 8:
        bar = float(rng.integers(1, 4)) * (box[2] - box[0]) / 120
        draw.rectangle([x, box[1] + 5, x + bar, box[3] - 16], fill=(12, 12, 12))
        x += bar + float(rng.integers(1, 4)) * (box[2] - box[0]) / 120
    digits = "".join(str(d) for d in rng.integers(0, 10, 13))
    letter(draw, ((box[0] + box[2]) / 2, box[3] - 8), digits, bundled_face("fimo", 11), (12, 12, 12))


def _credits(face: _Face, y: float) -> None:
    font = bundled_face("figo", max(face.width // 46, 7))
    for row in range(3):
        words = [word(face.rng, "ABCDEGHILMNORSTU", int(face.rng.integers(3, 8))) for _ in range(7)]
        at = (face.width / 2, face.height * y + row * face.width / 34)
        letter(face.draw, at, " ".join(words)[:52], font, (222, 222, 226))


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
        layout=pick(rng, LAYOUTS),
        hero=hero,
        face=str(rng.choice(DISPLAY_FACES)),
    )
