"""A case full of odd inputs: texts, pictures, clips and names of every kind, right ones and broken ones.

Good products and clips lie among them, so that a job over the case has something to find.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import unicodedata
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import tiny
from PIL import Image

#: Pixels of every clip, width and height; a second at this rate.
SIZE = (160, 284)
FPS = 10
GOOD = 6

#: Texts that a cast, a pattern, a format, a terminal, a spreadsheet or a file system reads as something else.
TEXTS: Mapping[str, str] = {
    "astral": "🛏 𝒫illow 𠮷",
    "joined emoji": "👩‍👩‍👧‍👦",
    "flag of tags": "🏴\U000e0067\U000e0062\U000e007f",
    "right to left": "وسادة طبية",
    "mixed directions": "gối وسادة 12 ש״ח",
    "direction override": "abc\u202efed",
    "isolates": "\u2067abc\u2069 def",
    "piled marks": "a" + "\u0301\u0323\u0302\u0308" * 6,
    "decomposed": unicodedata.normalize("NFD", "Gối công thái học"),
    "composed": "Gối công thái học II",
    "terminal": "a\x01b\x1b[31mc\x7fd",
    "C1": "a\x9b31m\x85b",
    "half width": "ｶﾞｷﾞｸﾞ",
    "jamo": "\u1100\u1161\u11a8",
    "thai": "หมอนเพื่อสุขภาพ",
    "devanagari": "तकिया क्षि",
    "simplified": "人体工学枕头",
    "noncharacter": "a\ufffeb",
    "private": "a\ue000b",
    "last of Unicode": "a\U0010ffffb",
    "letters that grow": "ŉİıſßﬃ",
    "backslashes": r"C:\new\x6f\0",
    "quotes": "a\"b'c`d",
    "percent": "100% %s %(x)s %%",
    "braces": "{0} {x!r} ${HOME} $(id)",
    "SQL": "'; DROP TABLE products; --",
    "HTML": "<script>alert(1)</script>&amp;",
    "formula": "=1+1",
    "separators": "a,b;c|d",
    "two lines": "two\nlines",
    "tab": "a\tb",
    "null": "NULL",
    "not a number": "NaN",
    "JSON": '{"a": [1]}',
    "climbing": "../../etc/passwd",
    "pattern": "(a+)+$",
    "wide blanks": "a\u00a0\u3000\u2003b",
    "dashes": "--help",
    "glob": "*?[a-z]",
    "address": "https://shop.example/?key=1#x",
}  # fmt: skip


@dataclass(frozen=True)
class OddCase:
    """Where the case lies, and what a job must make of it.

    Attributes:
        products: its catalogues: a CSV, and JSON lines for what no CSV can hold.
        used_ids: ids of all products with a picture that can be used.
        broken_pictures: references to pictures that cannot be used.
        broken_rows: what else cannot be used of the catalogues, as problems name it.
        used_videos: names of all clips that can be read, as given.
        broken_videos: names of those that cannot; others: the first file of each type that is no clip.
        found: products that must be accepted in the clip of the same number.
    """

    products: tuple[Path, Path]
    videos: Path
    used_ids: frozenset[str]
    broken_pictures: frozenset[str]
    broken_rows: frozenset[str]
    used_videos: frozenset[str]
    broken_videos: frozenset[str]
    others: frozenset[str]
    found: Mapping[str, str]

    @property
    def odd(self) -> int:
        """Odd inputs: everything but the good products and clips."""
        named = (self.broken_pictures, self.broken_rows, self.broken_videos, self.others)
        return len(self.used_ids) + len(self.used_videos) - 2 * GOOD + sum(map(len, named))


def write_odd_case(folder: Path) -> OddCase:
    """Writes the whole case; some seconds."""
    (folder / "images").mkdir(parents=True)
    (folder / "videos").mkdir()
    good = [_good(folder, n) for n in range(GOOD)]
    pictures = list(_odd_pictures(folder / "images"))
    texts = [
        {
            "product_id": key if _UNFIT.search(text) else text, "title": text, "brand": text,
            "url": f"https://shop.example/{text}", "price": text, "currency": text,
            "image": pictures[n % len(pictures)],
        }
        for n, (key, text) in enumerate(TEXTS.items())
    ]  # fmt: skip
    assert len(pictures) <= len(TEXTS), "each picture belongs to a text's row"
    clip = (folder / "videos" / "good0.mp4").read_bytes()
    broken = list(_broken_pictures(folder / "images", clip))
    spoilt = [{"product_id": f"broken {n}", "image": name} for n, name in enumerate(broken)]
    unusable = _broken_rows()
    lines = _written(folder / "odd.csv", [*good, *texts, *spoilt, *unusable])
    used = {*(row["product_id"] for row in (*good, *texts)), *_written_lines(folder / "odd.jsonl")}
    refused = {f"odd.csv line {line}" for line in lines[-len(unusable) :]}
    return OddCase(
        products=(folder / "odd.csv", folder / "odd.jsonl"),
        videos=folder / "videos",
        used_ids=frozenset(map(_trimmed, used)),
        broken_pictures=frozenset(broken),
        broken_rows=frozenset(refused | {"odd.jsonl line 1", "odd.jsonl line 2"}),
        used_videos=frozenset(_odd_videos(folder / "videos")) | {f"good{n}" for n in range(GOOD)},
        broken_videos=frozenset(_broken_videos(folder / "videos")),
        others=frozenset(_others(folder / "videos")),
        found={f"good{n}": f"good {n}" for n in range(GOOD)},
    )


#: What no id may hold: what ends a line, moves a terminal's cursor or is never seen.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _trimmed(text: str) -> str:
    """An id as it is kept: without blanks and invisible characters around it."""
    return text.strip().strip("\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f\u2028\u2029").strip()


def _good(folder: Path, n: int) -> Mapping[str, str]:
    tiny.write_picture(folder / "images" / f"good{n}.jpg", tiny.catalogue_picture(n))
    _clip(folder / "videos" / f"good{n}.mp4", tiny.box(n))
    return {"product_id": f"good {n}", "title": f"Hộp số {n}", "image": f"images/good{n}.jpg"}


def _small(seed: int) -> Image.Image:
    return Image.fromarray(tiny.box(1_000 + seed, (120, 150)))


#: Pictures as shops and phones save them: suffix, mode, what Pillow is told.
_FORMATS: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("jpg", "RGB", {"progressive": True}),
    ("JPG", "L", {}),
    ("jpeg", "CMYK", {}),
    ("jfif", "RGB", {"format": "JPEG", "quality": 5}),
    ("jpg", "RGB", {"subsampling": 0, "comment": b"\xff\xd8 \xff"}),
    *(("jpg", "RGB", {"exif": turn}) for turn in range(2, 9)),
    ("png", "RGBA", {}),
    ("png", "LA", {}),
    ("PNG", "P", {}),
    ("png", "1", {}),
    ("png", "I;16", {}),
    ("gif", "P", {}),
    ("tiff", "RGB", {"compression": "tiff_lzw"}),
    ("tif", "CMYK", {"compression": "tiff_adobe_deflate"}),
    ("tif", "1", {"compression": "group4"}),
    ("bmp", "RGB", {}),
    ("bmp", "P", {}),
    ("webp", "RGBA", {"lossless": True}),
    ("webp", "RGB", {"quality": 20}),
    ("avif", "RGB", {"quality": 60}),
)


def _odd_pictures(folder: Path) -> Iterator[str]:
    """Writes pictures in many formats and under odd names; their references as a catalogue gives them."""
    for n, (suffix, mode, options) in enumerate(_FORMATS):
        picture, told = _small(n), dict(options)
        if mode == "I;16":
            picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
        elif mode != "RGB":
            picture = picture.convert(mode)
        if turn := told.pop("exif", None):
            exif = Image.Exif()
            exif[0x0112] = turn
            told["exif"] = exif
        picture.save(folder / f"format{n}.{suffix}", **told)
        yield f"images/format{n}.{suffix}"
    names = (
        "no suffix",
        "ảnh gối.png.jpg",
        "sản phẩm #1 50%20.jpg",
        "枕头🛏.jpg",
        "صورة.jpg",
        "a\u0301\u0302.jpg",
    )
    for n, name in enumerate(names):
        _small(100 + n).save(folder / name, format="JPEG")
        yield f"images/{name}"
    whole = io.BytesIO()
    _small(200).save(whole, "JPEG")
    (folder / "no end.jpg").write_bytes(whole.getvalue()[:-2])
    yield "images/no end.jpg"
    _small(201).save(folder / "named a jpeg.jpg", format="PNG")
    yield "images/named a jpeg.jpg"
    _small(202).resize((400, 60)).save(folder / "wide.jpg")
    yield "images/wide.jpg"
    _small(203).save(folder / "Case.JPG")
    yield "IMAGES/case.jpg"


def _broken_pictures(folder: Path, clip: bytes) -> Iterator[str]:
    """Writes pictures that nobody can use; their references."""
    whole = io.BytesIO()
    _small(300).save(whole, "JPEG")
    data = whole.getvalue()
    contents = {
        "empty.jpg": b"", "cut.jpg": data[: len(data) // 3], "text.jpg": b"this is no picture",
        "page.jpg": b"<!DOCTYPE html><html><body>404</body></html>", "zeros.png": bytes(500),
        "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><rect width='9' height='9'/></svg>",
        "layers.psd": b"8BPS\0\1" + bytes(200), "icon.ico": b"\0\0\1\0\1\0" + bytes(60), "clip.jpg": clip,
        "head.png": b"\x89PNG\r\n\x1a\n", "document.pdf": b"%PDF-1.7\n" + bytes(100),
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        yield f"images/{name}"
    Image.new("RGB", (9, 9)).save(folder / "tiny.png")
    yield "images/tiny.png"
    _small(301).resize((900, 40)).save(folder / "stripe.png")
    yield "images/stripe.png"
    yield from ("images/gone.jpg", "images/枕头 gone.jpg", "images")


def _broken_rows() -> list[Mapping[str, str]]:
    """Rows that the catalogue itself refuses."""
    good = "images/good0.jpg"
    return [
        {"product_id": "", "image": good},
        {"product_id": "\u200b\u00a0", "image": good},
        {"product_id": "no image", "image": ""},
        {"product_id": "8.93457E+12", "image": good},
        {"product_id": "x" * 10_000, "image": good},
        *({"product_id": text, "image": good} for text in TEXTS.values() if _UNFIT.search(text)),
        {"product_id": "climbs", "image": "../../../etc/hostname"},
        {"product_id": "absolute", "image": "/etc/hostname"},
        {"product_id": "windows", "image": r"C:\Users\me\a.jpg"},
        {"product_id": "share", "image": r"\\server\share\a.jpg"},
        {"product_id": "data", "image": "data:image/png;base64,AAAA"},
        {"product_id": "ftp", "image": "ftp://shop.example/a.jpg"},
        {"product_id": "script", "image": "javascript:alert(1)"},
    ]


def _written(path: Path, rows: Sequence[Mapping[str, str]]) -> list[int]:
    """Writes a CSV; the line in which each row begins."""
    fields = ["product_id", "title", "brand", "url", "price", "currency", "image"]
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fields, restval="", lineterminator="\n")
    writer.writeheader()
    lines = []
    for row in rows:
        lines.append(buffer.getvalue().count("\n") + 1)
        writer.writerow(row)
    path.write_bytes(buffer.getvalue().encode())
    return lines


def _written_lines(path: Path) -> Iterator[str]:
    """What no CSV holds, NUL and halves of characters: in two ids, refused, and in a title; the ids used."""
    rows = [
        {"product_id": "a\0b", "image": "images/good0.jpg"},
        {"product_id": "a\ud800b", "image": "images/good0.jpg"},
        {"product_id": "from lines", "title": "a\0b \ud800", "image": "images/format0.jpg"},
        {"product_id": '="00123"', "image": "images/format1.JPG"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="ascii")
    yield from ("from lines", "00123")


def _clip(path: Path, product: tiny.Rgb, codec: str = "libx264", **told: Any) -> None:
    """A second of the product, moving a little on a plain page."""
    width, height = SIZE
    with av.open(str(path), "w", options=told.pop("container", {})) as file:
        stream: Any = file.add_stream(codec, rate=told.get("fps", FPS))
        stream.width, stream.height = width, height
        stream.pix_fmt = told.get("pix_fmt", "yuv420p")
        stream.options = told.get("options", {"preset": "ultrafast"} if codec == "libx264" else {"b": "900k"})
        if "matrix" in told:
            stream.set_display_matrix(told["matrix"])
        if "aspect" in told:
            stream.codec_context.sample_aspect_ratio = told["aspect"]
        small = cv2.resize(product, (width - 20, height - 60), interpolation=cv2.INTER_AREA)
        for n in range(told.get("fps", FPS)):
            page = np.full((height, width, 3), 235, np.uint8)
            page[20 + n : 20 + n + small.shape[0], 10 : 10 + small.shape[1]] = small
            file.mux(stream.encode(av.VideoFrame.from_ndarray(page, format="rgb24")))
        file.mux(stream.encode(None))


_ONE: int = 1 << 16
#: Clips as cameras, editors and shops write them.
_KINDS: Mapping[str, Mapping[str, Any]] = {
    "kind.avi": {"codec": "mpeg4"}, "kind.m4v": {"codec": "mpeg4"}, "kind.3gp": {"codec": "mpeg4"},
    "kind.ts": {"fps": 25}, "kind.mts": {"fps": 25}, "kind.mpg": {"codec": "mpeg2video", "fps": 25},
    "kind.wmv": {"codec": "wmv2"}, "kind.asf": {"codec": "wmv1"}, "kind.flv": {"codec": "flv"},
    "kind.mkv": {}, "kind.webm": {"codec": "libvpx"},
    "kind.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "options": {"q": "4"}},
    "KIND.MP4": {}, "mirrored.mp4": {"matrix": [-_ONE, 0, 0, 0, _ONE, 0, 0, 0, 1 << 30]},
    "turned.mp4": {"matrix": [0, _ONE, 0, -_ONE, 0, 0, 0, 0, 1 << 30]},
    "wide pixels.mp4": {"aspect": Fraction(2, 1)}, "no chroma.mp4": {"pix_fmt": "yuv444p"},
    "ten bits.mp4": {"pix_fmt": "yuv420p10le"}, "fields.ts": {"fps": 25, "options": {"flags": "+ildct+ilme"}},
    "fragments.mp4": {"container": {"movflags": "frag_keyframe+empty_moov"}},
}  # fmt: skip


def _odd_videos(folder: Path) -> Iterator[str]:
    """Writes clips of many kinds and names; the names that they are given."""
    for n, (name, told) in enumerate(_KINDS.items()):
        _clip(folder / name, tiny.box(2_000 + n), **told)
    for n, suffix in enumerate(("gif", "webp")):
        pages = [Image.fromarray(tiny.box(2_100 + 10 * n + page, SIZE)) for page in range(2)]
        pages[0].save(folder / f"moving.{suffix}", save_all=True, append_images=pages[1:], duration=600)
    whole = (folder / "KIND.MP4").read_bytes()
    names = [text.replace("/", "_").lstrip(".") for text in TEXTS.values()]
    for name in names:
        # The same clip in all of them: one video of many names.
        (folder / f"{name}.mp4").write_bytes(whole)
    (folder / ("a" * 240 + ".mp4")).write_bytes(whole)
    yield from names
    yield from ("a" * 240, "KIND", "mirrored", "turned", "wide pixels", "no chroma", "ten bits")
    yield from ("fields", "fragments")
    # Names that clash keep their suffix.
    yield from (name for name in _KINDS if name.startswith("kind."))
    yield from ("moving.gif", "moving.webp")


def _broken_videos(folder: Path) -> Iterator[str]:
    """Writes clips that nobody can read; how problems name them."""
    whole = (folder / "good0.mp4").read_bytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("clip.mp4", whole)
    picture = (folder.parent / "images" / "good0.jpg").read_bytes()
    contents = {
        "empty": b"", "cut in half": whole[: len(whole) // 2], "words": b"this is no video", "still": picture,
        "packed": packed.getvalue(), "nothing": bytes(2_000), "head": whole[:32],
        "page": b"<!DOCTYPE html><html><body>403</body></html>", "list": b"#EXTM3U\n#EXTINF:9,\nhttp://x/1.ts\n",
    }  # fmt: skip
    for name, content in contents.items():
        (folder / f"{name}.mp4").write_bytes(content)
    with av.open(str(folder / "sound.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    (folder / "leads nowhere.mp4").symlink_to(folder / "gone.mp4")
    os.mkfifo(folder / "pipe.mp4")
    (folder / os.fsdecode(b"\xff\xfe.mp4")).write_bytes(whole)
    yield from contents
    yield from ("sound", "leads nowhere.mp4", "pipe.mp4", r"\xff\xfe.mp4")


def _others(folder: Path) -> Iterator[str]:
    """Writes files that are no clips; the first of each type."""
    Image.new("RGB", (60, 60)).save(folder / "still.gif")
    names = ("notes.txt", "notes 2.txt", "a.jpg", "song.mp3", "subtitles.srt", "Thumbs.db", "no type")
    for name in names:
        (folder / name).write_bytes(b"x")
    yield from ("still.gif", "notes 2.txt", "a.jpg", "song.mp3", "subtitles.srt", "Thumbs.db", "no type")
