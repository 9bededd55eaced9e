"""What a picture file asks of its decoder, counted over its markers before anything is decoded."""

from __future__ import annotations

import re
from typing import Final

from pvm_core.errors import MediaError

#: Scans of a JPEG. Each is a pass over all coefficients, and one of nothing but "end of block" runs takes a
#: few bytes: libjpeg-turbo leaves the limit to its caller (`djpeg -maxscans`; "Two Issues with the JPEG
#: Standard", libjpeg-turbo.org) and fuzzes itself with 500. Encoders write about 10; mozjpeg, which tries
#: most, below 20. 100 scans over 40 million pixels take about a second.
_MAX_SCANS: Final = 100
#: Segments of a JPEG, chunks of a PNG: Pillow visits each in Python, at 2 to 4 µs. A PNG of 15 MB in chunks
#: of 1 kB has 15,000; a JPEG's segments hold up to 64 kB each.
_MAX_PARTS: Final = 50_000
#: A JPEG marker: not a stuffed byte, a restart or a fill byte (ITU-T T.81, annex B.1.1).
_MARKER: Final = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_ALONE: Final = b"\x01\xd8"
_END: Final = 0xD9
_SCAN: Final = 0xDA
_PNG: Final = b"\x89PNG\r\n\x1a\n"


def check_structure(data: bytes, subject: str) -> None:
    """Refuses a picture whose file makes its decoder work out of proportion to its size.

    Raises:
        MediaError: ``picture.bomb``.
    """
    if data.startswith(b"\xff\xd8"):
        _check_jpeg(data, subject)
    elif data.startswith(_PNG):
        _check_png(data, subject)


def _check_jpeg(data: bytes, subject: str) -> None:
    # A count of the bytes alone is quick and never too low; thumbnails and appended videos may raise it.
    if data.count(b"\xff\xda") <= _MAX_SCANS and data.count(b"\xff") <= _MAX_PARTS:
        return
    parts = scans = at = 0
    while parts <= _MAX_PARTS and scans <= _MAX_SCANS:
        marker = _MARKER.search(data, at)
        if marker is None or marker[1][0] == _END:
            return
        at = marker.end()
        if marker[1] in _ALONE:
            continue
        parts += 1
        scans += marker[1][0] == _SCAN
        at += int.from_bytes(data[at : at + 2], "big")
    limit = f"{_MAX_SCANS:,} scans" if scans > _MAX_SCANS else f"{_MAX_PARTS:,} segments"
    _refuse(subject, f"a JPEG picture of more than {limit}")


def _check_png(data: bytes, subject: str) -> None:
    at = len(_PNG)
    for _ in range(_MAX_PARTS):
        if at + 12 > len(data):
            return
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    _refuse(subject, f"a PNG picture of more than {_MAX_PARTS:,} chunks")


def _refuse(subject: str, reason: str) -> None:
    raise MediaError("picture.bomb", subject, reason, "Save it again with another program")
