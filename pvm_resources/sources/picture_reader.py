"""Reading a picture's bytes from a file, within limits; pictures by URL come through `http.Fetcher`."""

from __future__ import annotations

from stat import S_ISREG
from typing import Final

from pvm_core.errors import MediaError
from pvm_resources.sources.base import PictureRef

#: As much as `pvm_core.images.PictureLimits` decodes and `pvm_resources.http.PICTURE` downloads.
_MAX_BYTES: Final = 15_000_000


class Pictures:
    """Reads pictures from files; safe to use from several threads.

    Args:
        max_bytes: of a file.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._max_bytes = max_bytes

    def read(self, picture: PictureRef) -> bytes:
        """The bytes of a picture that is a file.

        Raises:
            MediaError: ``picture.missing``, ``picture.unreadable``, ``picture.type``, ``picture.too_large``.
            ValueError: the picture is a URL.
        """
        if picture.path is None:
            raise ValueError(f"{picture.ref} is no file")
        subject = picture.ref
        try:
            if not S_ISREG(picture.path.stat().st_mode):
                reason = "it is a folder or a device, not a file"
                raise MediaError("picture.type", subject, reason, "Name a picture")
            with picture.path.open("rb") as file:
                data = file.read(self._max_bytes + 1)
        except FileNotFoundError as error:
            raise MediaError("picture.missing", subject, "there is no such file", "Check the path") from error
        except (OSError, ValueError) as error:
            reason = f"it cannot be read ({getattr(error, 'strerror', None) or error})"
            raise MediaError(
                "picture.unreadable", subject, reason, "Check its name and permissions"
            ) from error
        if len(data) > self._max_bytes:
            reason = f"more than the {self._max_bytes:,} bytes allowed"
            raise MediaError("picture.too_large", subject, reason, "Give a smaller picture")
        return data

    def fingerprint(self, picture: PictureRef) -> str | None:
        """Size and time of change of a file; None for a URL, or where the file is not there."""
        if picture.path is None:
            return None
        try:
            stat = picture.path.stat()
        except (OSError, ValueError):
            return None
        return f"{stat.st_size}-{stat.st_mtime_ns}"
