"""A HEIC picture as phones take them: no encoder of the format is installed, one of H.265 is."""

from __future__ import annotations

import struct
from pathlib import Path

import av
from make_video import write_clip

from pvm_core.images import Rgb


def box(kind: bytes, *parts: bytes, version: int | None = None) -> bytes:
    body = (b"" if version is None else struct.pack(">I", version << 24)) + b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def heic(picture: Rgb, folder: Path, *properties: bytes) -> bytes:
    """One coded frame in the boxes of ISO/IEC 23008-12; `properties` as `irot` or `imir` transform it."""
    options = {"x265-params": "log-level=none:keyint=1", "crf": "12"}
    clip = write_clip(folder / "still.mp4", [picture], codec="libx265", options=options)
    with av.open(str(clip)) as file:
        stream = file.streams.video[0]
        setup = bytes(stream.codec_context.extradata or b"")
        data = bytes(next(p for p in file.demux(stream) if p.size))
    height, width = picture.shape[:2]
    shared = box(b"hvcC", setup) + box(b"ispe", struct.pack(">II", width, height), version=0)
    count = 2 + len(properties)
    applied = bytes([0x81, 0x02, *(0x80 | number for number in range(3, count + 1))])
    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")

    def meta(offset: int) -> bytes:
        return box(
            b"meta",
            box(b"hdlr", bytes(4), b"pict", bytes(13), version=0),
            box(b"pitm", struct.pack(">H", 1), version=0),
            box(b"iinf", struct.pack(">H", 1),
                box(b"infe", struct.pack(">HH", 1, 0), b"hvc1", b"\0", version=2), version=0),
            box(b"iprp", box(b"ipco", shared, *properties),
                box(b"ipma", struct.pack(">IHB", 1, 1, count), applied, version=0)),
            box(b"iloc", struct.pack(">BBHHHHII", 0x44, 0, 1, 1, 0, 1, offset, len(data)), version=0),
            version=0,
        )  # fmt: skip

    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", data)
