"""Products for a stand-in shop: plain ones, drawn ones, or those of a catalogue's folder."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw


@dataclass(frozen=True)
class Ware:
    """A product: its texts and its gallery as JPEG or PNG files."""

    title: str
    brand: str
    pictures: tuple[bytes, ...]


def plain(count: int, pictures: int = 3) -> list[Ware]:
    """Products told apart by number and colour; made in a moment."""
    return [
        Ware(f"Pillow number {n}", f"Brand {n % 4}", tuple(_card(n, k) for k in range(pictures)))
        for n in range(count)
    ]


def drawn(count: int, seed: int) -> list[Ware]:
    """Products of the synthetic catalogue; about 0.3 s each."""
    from pvm_core.images import encode_jpeg
    from pvm_demo.products import make_products

    return [
        Ware(made.title, made.brand, tuple(encode_jpeg(rgb, 92) for rgb in made.images))
        for made in make_products(seed, count)
    ]


def of_folder(folder: Path) -> list[Ware]:
    """The products of a catalogue ``products.csv`` with its pictures, in its order."""
    found: dict[str, tuple[str, str, list[bytes]]] = {}
    with (folder / "products.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            texts = found.setdefault(row["product_id"], (row.get("title", ""), row.get("brand", ""), []))
            texts[2].append((folder / row["image"]).read_bytes())
    return [Ware(title, brand, tuple(pictures)) for title, brand, pictures in found.values()]


def _card(number: int, view: int) -> bytes:
    picture = Image.new("RGB", (200, 200), ((number * 47) % 256, (number * 91 + view * 60) % 256, 120))
    ImageDraw.Draw(picture).text((20, 80), f"{number} / {view}", fill="white", font_size=48)
    file = io.BytesIO()
    picture.save(file, "JPEG")
    return file.getvalue()
