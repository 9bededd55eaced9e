"""Bytes as answers: types by content, strong ETags, conditions and ranges (RFC 9110)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from pvm_api.problems import ApiError

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_CHUNK: Final = 256 * 1024
_MAGIC: Final = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (8, b"WEBP", "image/webp"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (8, b"AVI ", "video/x-msvideo"),
    (0, b"FLV", "video/x-flv"),
)


def type_of(head: bytes) -> str:
    """The media type that the first bytes tell."""
    return next(
        (kind for at, mark, kind in _MAGIC if head[at : at + len(mark)] == mark), "application/octet-stream"
    )


def serve_bytes(request: Request, data: bytes, name: str, cache: str) -> Response:
    """A stored picture."""
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = _headers(tag, name, cache)
    if _unchanged(request, tag):
        return Response(status_code=304, headers=headers)
    span = _span(request, tag, len(data))
    if span is None:
        return Response(data, media_type=type_of(data[:16]), headers=headers)
    first, last = span
    headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return Response(data[first : last + 1], 206, headers, type_of(data[:16]))


def serve_file(request: Request, path: Path, tag: str, name: str, cache: str) -> Response:
    """A file, streamed.

    Args:
        tag: identifies its content, e.g. its SHA-256.

    Raises:
        OSError: it is gone.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        kind = type_of(file.read(16))
    tag = f'"{tag}"'
    headers = _headers(tag, name, cache)
    if _unchanged(request, tag):
        return Response(status_code=304, headers=headers)
    span = _span(request, tag, size)
    first, last = span or (0, size - 1)
    headers["Content-Length"] = str(last - first + 1)
    if span is not None:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return StreamingResponse(_read(path, first, last), 206 if span else 200, headers, kind)


def _headers(tag: str, name: str, cache: str) -> dict[str, str]:
    return {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Cache-Control": cache,
        "Content-Disposition": f'inline; filename="{name}"',
    }


def _unchanged(request: Request, tag: str) -> bool:
    given = request.headers.get("if-none-match")
    if given is None:
        return False
    # If-None-Match compares weakly: a cache may have weakened our tag.
    return any(part.strip().removeprefix("W/") in (tag, "*") for part in given.split(","))


def _span(request: Request, tag: str, size: int) -> tuple[int, int] | None:
    """First and last byte wanted; None for all of them: no range, several, or of another version."""
    given = _RANGE.fullmatch(request.headers.get("range", ""))
    if given is None or request.headers.get("if-range", tag) != tag:
        return None
    first, last = given.groups()
    if not first and not last:
        return None
    if not first:
        start, end = max(0, size - int(last)), size - 1
        fits = int(last) > 0
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        fits = not last or int(first) <= int(last)
        if not fits:
            return None
    if start >= size or not fits:
        raise ApiError(
            "range.outside",
            f"the range lies outside the {size} bytes there are",
            "Ask for less",
            {"Content-Range": f"bytes */{size}"},
        )
    return start, end


def _read(path: Path, first: int, last: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(first)
        left = last - first + 1
        while left > 0 and (data := file.read(min(_CHUNK, left))):
            left -= len(data)
            yield data


def first_file(places: Sequence[tuple[str, int | None]]) -> Path | None:
    """The first of these places that holds a file of the size noted there."""
    for place, size in places:
        path = Path(place)
        try:
            if path.is_absolute() and path.is_file() and size in (None, path.stat().st_size):
                return path
        except OSError:
            continue
    return None
