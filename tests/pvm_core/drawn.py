"""What shops put in place of products and over them: charts, placeholders, banners, frames, watermarks."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

U8 = npt.NDArray[np.uint8]


def _face(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def chart(seed: int = 0, side: int = 600) -> U8:
    """A table of sizes."""
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(picture)
    pen.text((side * 0.2, 16), "SIZE CHART (cm)", fill="black", font=_face(34))
    for row in range(9):
        y = 80 + row * 56
        pen.line((20, y, side - 20, y), fill="black", width=2)
        for column in range(4):
            text = "size" if row == 0 else f"{rng.integers(200, 999) / 10}"
            pen.text((40 + column * 140, y + 12), text, fill="black", font=_face(26))
    return np.array(picture)


def placeholder(text: str = "No image available", ground: int = 235, side: int = 500) -> U8:
    """A sign that there is no picture."""
    picture = Image.new("RGB", (side, side), (ground,) * 3)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((150, 140, 350, 300), outline=(150, 150, 150), width=8)
    pen.polygon([(170, 290), (250, 210), (330, 290)], fill=(150, 150, 150))
    pen.text((120, 330), text, fill=(110, 110, 110), font=_face(28))
    return np.array(picture)


def studio(face: U8, side: int = 600, tall: int = 520, quality: int = 85) -> U8:
    """A front on white, saved as a shop does."""
    width = round(face.shape[1] * tall / face.shape[0])
    picture = Image.new("RGB", (side, side), "white")
    picture.paste(Image.fromarray(face).resize((width, tall)), ((side - width) // 2, (side - tall) // 2))
    return resaved(np.array(picture), side, quality)


def resaved(rgb: U8, side: int, quality: int) -> U8:
    """Scaled down to `side` at most and saved as JPEG."""
    picture = Image.fromarray(rgb)
    picture.thumbnail((side, side))
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=quality)
    return np.array(Image.open(held))


def bannered(rgb: U8, share: float = 0.2, colour: tuple[int, int, int] = (214, 20, 29)) -> U8:
    """A picture under a seller's banner along its foot."""
    picture = Image.fromarray(rgb)
    width, height = picture.size
    top = round(height * (1 - share))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, top, width, height), fill=colour)
    pen.text((20, top + 12), "FREESHIP -50%", fill=(255, 255, 0), font=_face(round(height * share * 0.5)))
    return np.array(picture)


def framed(rgb: U8, colour: tuple[int, int, int] = (20, 60, 150)) -> U8:
    """A picture between the bands of a shop."""
    picture = bannered(rgb, 0.18)
    return np.ascontiguousarray(bannered(picture[::-1].copy(), 0.14, colour)[::-1])


def watermarked(rgb: U8) -> U8:
    """A picture with a seller's name all over it, half seen through."""
    picture = Image.fromarray(rgb).convert("RGBA")
    layer = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    for y in range(20, picture.height, 130):
        for x in range(-40 + y % 90, picture.width, 230):
            pen.text((x, y), "shop.example", fill=(128, 128, 128, 80), font=_face(26))
    return np.array(Image.alpha_composite(picture, layer).convert("RGB"))
