"""What a file really is, from its first bytes: for refusing it by name rather than as "invalid data"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

#: The pictures this project decodes, for a sentence.
PICTURE_FORMATS: Final = "JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF or HEIC"
#: Endings of video files. GIF and WebP are clips where they are animated (`pvm_core.video.is_animation`).
VIDEO_SUFFIXES: Final = frozenset(
    (
        ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg",
        ".mpeg", ".wmv", ".asf", ".flv",
    )
)  # fmt: skip
ANIMATION_SUFFIXES: Final = frozenset((".gif", ".webp"))

FileKind = Literal["picture", "video", "audio", "other"]


@dataclass(frozen=True)
class Sniffed:
    """The content of a file.

    Attributes:
        name: with its article, for a sentence: "an HTML page".
        kind: what it is good for.
        supported: whether this project decodes it.
        media_type: of HTTP, for what this project serves.
    """

    name: str
    kind: FileKind
    supported: bool = False
    media_type: str = "application/octet-stream"


#: (offset, magic bytes, what it is). Order matters only where one is a prefix of another.
_MAGIC: Final[tuple[tuple[int, bytes, Sniffed], ...]] = (
    (0, b"\xff\xd8\xff", Sniffed("a JPEG picture", "picture", True, "image/jpeg")),
    (0, b"\x89PNG\r\n\x1a\n", Sniffed("a PNG picture", "picture", True, "image/png")),
    (0, b"GIF87a", Sniffed("a GIF picture", "picture", True, "image/gif")),
    (0, b"GIF89a", Sniffed("a GIF picture", "picture", True, "image/gif")),
    (0, b"II*\x00", Sniffed("a TIFF picture", "picture", True, "image/tiff")),
    (0, b"MM\x00*", Sniffed("a TIFF picture", "picture", True, "image/tiff")),
    (0, b"8BPS", Sniffed("a Photoshop document", "picture")),
    (0, b"\x00\x00\x01\x00", Sniffed("an icon file", "picture")),
    (0, b"\xff\x0a", Sniffed("a JPEG XL picture", "picture")),
    (0, b"\x00\x00\x00\x0cJXL ", Sniffed("a JPEG XL picture", "picture")),
    (0, b"\x00\x00\x00\x0cjP  ", Sniffed("a JPEG 2000 picture", "picture")),
    (0, b"\x1aE\xdf\xa3", Sniffed("a Matroska or WebM video", "video", True, "video/webm")),
    (0, b"FLV\x01", Sniffed("a Flash video", "video", True, "video/x-flv")),
    (0, b"\x00\x00\x01\xba", Sniffed("an MPEG video", "video", True, "video/mpeg")),
    (0, b"0&\xb2u\x8ef\xcf\x11", Sniffed("a Windows Media file", "video", True, "video/x-ms-wmv")),
    (0, b"#EXTM3U", Sniffed("a playlist", "other")),
    (0, b"ID3", Sniffed("an MP3 audio file", "audio")),
    (0, b"fLaC", Sniffed("a FLAC audio file", "audio")),
    (0, b"OggS", Sniffed("an Ogg file", "audio")),
    (0, b"%PDF", Sniffed("a PDF document", "other")),
    (0, b"PK\x03\x04", Sniffed("a ZIP archive or office document", "other")),
    (0, b"\x1f\x8b", Sniffed("a gzip archive", "other")),
    (0, b"7z\xbc\xaf", Sniffed("a 7z archive", "other")),
    (0, b"Rar!", Sniffed("a RAR archive", "other")),
    (0, b"\x7fELF", Sniffed("a program", "other")),
    (0, b"MZ", Sniffed("a program", "other")),
)
#: Brands of ISO base media files (bytes 8..12 after "ftyp"); every other brand is an MP4 or MOV.
_BRANDS: Final = {
    b"avif": Sniffed("an AVIF picture", "picture", True, "image/avif"),
    b"avis": Sniffed("an AVIF picture", "picture", True, "image/avif"),
    b"heic": Sniffed("a HEIC picture", "picture", True, "image/heic"),
    b"heix": Sniffed("a HEIC picture", "picture", True, "image/heic"),
    b"hevc": Sniffed("a HEIC picture", "picture", True, "image/heic"),
    b"mif1": Sniffed("a HEIF picture", "picture", True, "image/heif"),
    b"msf1": Sniffed("a HEIF picture", "picture", True, "image/heif"),
    b"M4A ": Sniffed("an MP4 audio file", "audio", True),
    b"M4B ": Sniffed("an MP4 audio file", "audio", True),
    b"qt  ": Sniffed("an MP4 or MOV video", "video", True, "video/quicktime"),
}
_RIFF: Final = {
    b"WEBP": Sniffed("a WebP picture", "picture", True, "image/webp"),
    b"AVI ": Sniffed("an AVI video", "video", True, "video/x-msvideo"),
    b"WAVE": Sniffed("a WAV audio file", "audio"),
}
_MP4: Final = Sniffed("an MP4 or MOV video", "video", True, "video/mp4")
#: Boxes a QuickTime file may begin with when it has no "ftyp".
_MOV_BOXES: Final = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def describe(data: bytes) -> Sniffed:
    """What the file beginning with `data` is; the first kilobyte is enough."""
    if not data:
        return Sniffed("an empty file", "other")
    if data[:4] == b"RIFF" and data[8:12] in _RIFF:
        return _RIFF[data[8:12]]
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], _MP4)
    if data[4:8] in _MOV_BOXES:
        return _MP4
    for offset, magic, what in _MAGIC:
        if data[offset : offset + len(magic)] == magic:
            return what
    if data[:2] == b"BM" and data[6:10] == bytes(4):
        return Sniffed("a BMP picture", "picture", True, "image/bmp")
    # Camcorders (MTS, M2TS) put a time of four bytes before each packet.
    if any(data[at : at + 1] == b"\x47" == data[at + gap : at + gap + 1] for at, gap in ((0, 188), (4, 192))):
        return Sniffed("an MPEG transport stream", "video", True, "video/mp2t")
    return _describe_text(data[:1024])


def _describe_text(head: bytes) -> Sniffed:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not text:
        return Sniffed("nothing but zeros or blanks", "other")
    if text.startswith(b"<"):
        return _describe_markup(text)
    if not text.strip(b"\x00"):
        return Sniffed("nothing but zeros or blanks", "other")
    if b"\x00" in text or sum(byte < 9 for byte in text):
        return Sniffed("data of an unknown kind", "other")
    if text.startswith((b"{", b"[")):
        return Sniffed("JSON text", "other")
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return Sniffed("data of an unknown kind", "other")
    return Sniffed("plain text", "other")


def _describe_markup(text: bytes) -> Sniffed:
    if b"<svg" in text:
        return Sniffed("an SVG drawing", "other")
    if b"<!doctype html" in text or b"<html" in text or text.startswith((b"<head", b"<body")):
        return Sniffed("an HTML page", "other")
    return (
        Sniffed("an XML document", "other") if text.startswith(b"<?xml") else Sniffed("markup text", "other")
    )
