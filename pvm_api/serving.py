"""Stored files as answers: types by content, ETags and ranges (RFC 9110)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fastapi import Request
from starlette.responses import FileResponse, MalformedRangeHeader, RangeNotSatisfiable, Response
from starlette.staticfiles import NotModifiedResponse

from pvm_api.problems import ApiError
from pvm_core.file_type import describe
from pvm_resources.media.store import MediaStore

#: First bytes of a file, from which its type is recognised.
_HEAD: Final = 1024


class _RangedFile(FileResponse):
    """A file or one range of it. A malformed range is ignored, several are answered with the whole file,
    both as RFC 9110 section 14.2 lets a server do."""

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        try:
            found = super()._parse_range_header(http_range, file_size)
        except MalformedRangeHeader:
            return []
        except RangeNotSatisfiable as error:
            reason = f"the range lies outside the {file_size} bytes there are"
            headers = {"Content-Range": f"bytes */{file_size}"}
            raise ApiError("range.outside", reason, "Ask for less", headers) from error
        return found if len(found) == 1 else []


def serve_file(request: Request, path: Path, name: str, cache: str, tag: str | None = None) -> Response:
    """A file, whole or in part; 304 where the caller has it.

    Args:
        tag: identifies its content, e.g. its SHA-256; default by its time and size.

    Raises:
        OSError: it is not there any more.
    """
    with path.open("rb") as file:
        kind = describe(file.read(_HEAD)).media_type
    headers = _headers(name, cache) | ({"ETag": f'"{tag}"'} if tag else {})
    response = _RangedFile(path, headers=headers, media_type=kind, stat_result=path.stat())
    return not_modified(request, response.headers["etag"].strip('"'), cache) or response


def serve_bytes(data: bytes, name: str, cache: str, tag: str) -> Response:
    """A picture in memory."""
    return Response(
        data,
        media_type=describe(data[:_HEAD]).media_type,
        headers={**_headers(name, cache), "ETag": f'"{tag}"'},
    )


def serve_stored(request: Request, media: MediaStore, key: str, name: str, cache: str) -> Response:
    """A picture of the media store. One that is not in a local folder is sent whole.

    Raises:
        StoreError: ``media.missing``, ``media.read``.
    """
    path = media.path(key)
    if path is not None and path.is_file():
        return serve_file(request, path, name, cache)
    data = media.get(key)
    tag = hashlib.sha256(data).hexdigest()[:32]
    return not_modified(request, tag, cache) or serve_bytes(data, name, cache, tag)


def not_modified(request: Request, tag: str, cache: str) -> Response | None:
    """304 where If-None-Match names the tag, else None."""
    given = request.headers.get("if-none-match", "")
    # If-None-Match compares weakly: a cache may have weakened our tag.
    if not any(part.strip().removeprefix("W/") in (f'"{tag}"', "*") for part in given.split(",")):
        return None
    return NotModifiedResponse(Response(headers={"ETag": f'"{tag}"', "Cache-Control": cache}).headers)


def _headers(name: str, cache: str) -> dict[str, str]:
    return {"Cache-Control": cache, "Content-Disposition": f'inline; filename="{name}"'}


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
