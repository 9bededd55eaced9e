"""Type for rendered pictures: bundled typefaces, fallback per character, fitting and truncation.

The faces come from the package `pymupdf-fonts` (SIL Open Font License). FiraGO covers Latin with
Vietnamese, Cyrillic, Greek, Arabic, Hebrew, Georgian and Thai; a character that no face at hand covers
is transliterated (`anyascii`), so that no picture ever shows an empty box.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from PIL import ImageFont

Weight = Literal["regular", "bold"]

#: Names inside `pymupdf_fonts` of the faces tried in turn for each weight.
_STACKS: Final[dict[str, tuple[str, ...]]] = {
    "regular": ("figo", "symbol2", "math"),
    "bold": ("figbo", "symbol2", "math"),
}
#: Where an operating system keeps fonts with Chinese, Japanese and Korean characters.
_SYSTEM_FOLDERS: Final = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/System/Library/Fonts",
    "C:/Windows/Fonts",
)
_SYSTEM_CJK: Final = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansSC-Regular.otf",
    "DroidSansFallbackFull.ttf",
    "DroidSansFallback.ttf",
    "wqy-zenhei.ttc",
    "wqy-microhei.ttc",
    "PingFang.ttc",
    "msyh.ttc",
)
#: A code point that no font maps: what it draws is what a font draws for every missing character.
_UNMAPPED: Final = "\U0010fffe"
_ELLIPSIS: Final = "…"
#: Longest text laid out, in characters; the rest cannot fit any line we set.
_LONGEST: Final = 400


def bundled_face(name: str, size: int) -> ImageFont.FreeTypeFont:
    """The face `name` of `pymupdf_fonts` at `size` pixels.

    Raises:
        KeyError: there is no such face.
    """
    return _face(name, size)


@lru_cache(maxsize=32)
def _font_bytes(name: str) -> bytes:
    import pymupdf_fonts

    if name not in pymupdf_fonts.fontdescriptors:
        raise KeyError(name)
    return bytes(pymupdf_fonts.myfont(name))


@lru_cache(maxsize=256)
def _face(name: str, size: int) -> ImageFont.FreeTypeFont:
    source = name if Path(name).is_absolute() else io.BytesIO(_font_bytes(name))
    return ImageFont.truetype(source, size)


@lru_cache(maxsize=1)
def system_cjk_face() -> str | None:
    """Path of a font of this machine that covers Chinese, or None."""
    found = {
        path.name: str(path)
        for folder in _SYSTEM_FOLDERS
        if Path(folder).is_dir()
        for path in Path(folder).rglob("*.[ot]t[fc]")
    }
    return next((found[name] for name in _SYSTEM_CJK if name in found), None)


@lru_cache(maxsize=8192)
def _covers(name: str, character: str) -> bool:
    face = _face(name, 24)
    missing, given = face.getmask(_UNMAPPED), face.getmask(character)
    return (missing.size, bytes(missing)) != (given.size, bytes(given))


@dataclass(frozen=True)
class Run:
    """A stretch of text set in one face."""

    text: str
    face: ImageFont.FreeTypeFont


@lru_cache(maxsize=2048)
def runs(text: str, size: int, weight: Weight = "regular") -> tuple[Run, ...]:
    """`text` cut into stretches of one face each; characters no face covers are transliterated."""
    names = _STACKS[weight]
    cjk = system_cjk_face()
    pieces: list[tuple[str, str]] = []
    for character in unicodedata.normalize("NFC", text):
        name, shown = _place(character, (*names, cjk) if cjk else names)
        if pieces and pieces[-1][0] == name:
            pieces[-1] = (name, pieces[-1][1] + shown)
        elif shown:
            pieces.append((name, shown))
    return tuple(Run(piece, _face(name, size)) for name, piece in pieces)


@lru_cache(maxsize=8192)
def _place(character: str, names: Sequence[str]) -> tuple[str, str]:
    from anyascii import anyascii

    category = unicodedata.category(character)
    if category == "Zs" or character in "\t\r\n":
        return names[0], " "
    if category in {"Cc", "Cf", "Cs", "Co", "Cn"}:
        return names[0], ""
    for name in names:
        if _covers(name, character):
            return name, character
    plain = anyascii(character)
    # Transliterated ideographs read as syllables; a space keeps them apart.
    return names[0], f"{plain} " if category == "Lo" and len(plain) > 1 else plain or "?"


@lru_cache(maxsize=4096)
def width(text: str, size: int, weight: Weight = "regular") -> float:
    """Advance of `text` on one line, in pixels."""
    return float(sum(run.face.getlength(run.text) for run in runs(text, size, weight)))


def shorten(text: str, size: int, room: float, weight: Weight = "regular") -> str:
    """`text` on one line of at most `room` pixels, cut with an ellipsis where it is longer."""
    line = " ".join(text[: 4 * _LONGEST].split())
    longer = len(line) > _LONGEST or len(text) > 4 * _LONGEST
    line = line[:_LONGEST]
    if not longer and width(line, size, weight) <= room:
        return line
    low, high = 0, len(line)
    while low < high:
        middle = (low + high + 1) // 2
        if width(line[:middle].rstrip() + _ELLIPSIS, size, weight) <= room:
            low = middle
        else:
            high = middle - 1
    return line[:low].rstrip() + _ELLIPSIS


def wrap(text: str, size: int, room: float, lines: int, weight: Weight = "regular") -> list[str]:
    """`text` over at most `lines` lines of `room` pixels; what is left over ends in an ellipsis."""
    words = " ".join(text[: 4 * _LONGEST].split()).split(" ")
    done: list[str] = []
    while words and len(done) < lines - 1:
        line = words.pop(0)
        while words and width(f"{line} {words[0]}", size, weight) <= room:
            line = f"{line} {words.pop(0)}"
        if width(line, size, weight) > room:
            kept = _characters_that_fit(line, size, room, weight)
            words.insert(0, line[kept:])
            line = line[:kept]
        done.append(line)
    if words:
        done.append(shorten(" ".join(words), size, room, weight))
    return [line for line in done if line]


def _characters_that_fit(line: str, size: int, room: float, weight: Weight) -> int:
    low, high = 1, min(len(line), _LONGEST)
    while low < high:
        middle = (low + high + 1) // 2
        if width(line[:middle], size, weight) <= room:
            low = middle
        else:
            high = middle - 1
    return low
