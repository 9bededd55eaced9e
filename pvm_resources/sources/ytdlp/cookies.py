"""A browser's cookies from the user's file, checked before yt-dlp sees them.

yt-dlp itself prints lines that it cannot read, secrets included, and writes its cookies back to the file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pvm_core.errors import MediaError

_MAGIC: Final = "# Netscape HTTP Cookie File\n"
_HTTP_ONLY: Final = "#HttpOnly_"
#: domain, subdomains, path, secure, expires, name, value (curl.se/docs/http-cookies.html).
_FIELDS: Final = 7
_BYTES_MAX: Final = 5_000_000


def read_cookies(path: Path) -> str:
    """The cookies of a file in Netscape's format, in the form that yt-dlp reads without a warning.

    Raises:
        MediaError: ``video.cookies``; names the line and never what stands in it.
    """
    try:
        with path.expanduser().open("rb") as file:
            lines = file.read(_BYTES_MAX).decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise _refused(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})"
        ) from error
    kept: list[str] = []
    for number, line in enumerate(lines, start=1):
        bare = line.removeprefix(_HTTP_ONLY)
        if not bare.strip() or bare.startswith("#"):
            continue
        fields = bare.split("\t")
        if len(fields) != _FIELDS or not re.fullmatch(r"(\d+(\.\d+)?)?", fields[4]):
            raise _refused(f"line {number} of {path} is no cookie in Netscape's format")
        kept.append(f"{bare}\n")
    if not kept:
        raise _refused(f"{path} holds no cookies")
    return _MAGIC + "".join(kept)


def _refused(reason: str) -> MediaError:
    remedy = "Export a browser's cookies in Netscape's format (cookies.txt), or leave it out"
    return MediaError("video.cookies", "PVM_YTDLP_COOKIES", reason, remedy)
