"""Reading a picture's bytes from a file or an http(s) URL, within limits."""

from __future__ import annotations

from pathlib import Path
from stat import S_ISREG
from typing import Final, Protocol

from pvm_core.errors import MediaError
from pvm_resources.sources.base import PictureRef

#: As much as `pvm_core.images.PictureLimits` decodes and `pvm_resources.http.PICTURE` downloads.
_MAX_BYTES: Final = 15_000_000


class WebFetcher(Protocol):
    """Gets the bytes behind a URL; the seam at which another fetcher is put in."""

    def get(self, url: str) -> bytes:
        """The bytes.

        Raises:
            MediaError: it cannot be had; `retryable` says whether later may be better.
        """
        ...


class Pictures:
    """Reads pictures from files and, through `web`, from URLs; safe to use from several threads.

    Args:
        web: default `Fetcher()`: public servers only.
        max_bytes: of a file.
    """

    def __init__(self, web: WebFetcher | None = None, max_bytes: int = _MAX_BYTES) -> None:
        self._web = web
        self._max_bytes = max_bytes

    def read(self, picture: PictureRef) -> bytes:
        """The picture's bytes.

        Raises:
            MediaError: ``picture.missing``, ``picture.unreadable``, ``picture.type``, ``picture.too_large``,
                and for a URL what `Fetcher.fetch` raises.
        """
        if picture.path is None:
            return self._fetcher().get(picture.ref)
        return _read_file(picture.path, picture.ref, self._max_bytes)

    def _fetcher(self) -> WebFetcher:
        if self._web is None:
            # Worker processes read files only, and need no HTTP client and its 28 MB.
            from pvm_resources.http import Fetcher

            self._web = Fetcher()
        return self._web

    def fingerprint(self, picture: PictureRef) -> str | None:
        """Size and time of change of a file; None for a URL, or where the file is not there."""
        if picture.path is None:
            return None
        try:
            stat = picture.path.stat()
        except (OSError, ValueError):
            return None
        return f"{stat.st_size}-{stat.st_mtime_ns}"


def _read_file(path: Path, subject: str, max_bytes: int) -> bytes:
    try:
        stat = path.stat()
        if not S_ISREG(stat.st_mode):
            raise MediaError(
                "picture.type", subject, "it is a folder or a device, not a file", "Name a picture"
            )
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise MediaError("picture.missing", subject, "there is no such file", "Check the path") from error
    except (OSError, ValueError) as error:
        reason = f"it cannot be read ({getattr(error, 'strerror', None) or error})"
        raise MediaError("picture.unreadable", subject, reason, "Check its name and permissions") from error
    if len(data) > max_bytes:
        reason = f"more than the {max_bytes:,} bytes allowed"
        raise MediaError("picture.too_large", subject, reason, "Give a smaller picture")
    return data
