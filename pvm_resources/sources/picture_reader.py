"""Reading a picture's bytes from a file, within limits; pictures by URL come through `http.Fetcher`."""

from __future__ import annotations

import difflib
import os
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from pvm_core.errors import MediaError
from pvm_resources.sources.base import PictureRef
from pvm_resources.sources.confined import led_away, opened_unlinked

#: As much as `pvm_core.images.PictureLimits` decodes and `pvm_resources.http.PICTURE` downloads.
_MAX_BYTES: Final = 15_000_000
#: Names of a folder among which a near one is looked for: a comparison takes some microseconds.
_NAMES_LOOKED_AT: Final = 2_000


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
            MediaError: ``picture.missing``, ``picture.unreadable``, ``picture.type``, ``picture.outside``,
                ``picture.too_large``.
            ValueError: the picture is a URL.
        """
        if picture.path is None:
            raise ValueError(f"{picture.ref} is no file")
        subject = picture.ref
        try:
            # The path was resolved when the catalogue was read: a link in it was put there since.
            with opened_unlinked(picture.path) as file:
                data = file.read(self._max_bytes + 1)
        except IsADirectoryError as error:
            reason = "it is a folder or a device, not a file"
            raise MediaError("picture.type", subject, reason, "Name a picture") from error
        except FileNotFoundError as error:
            reason = f"there is no such file{_near(picture.path)}"
            raise MediaError("picture.missing", subject, reason, "Check the path") from error
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and led_away(error):
                reason = "a part of its path is a link that was not there before, or is no folder"
                remedy = "Put the picture itself there"
                raise MediaError("picture.outside", subject, reason, remedy) from error
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


def _near(path: Path) -> str:
    """A file of the same folder whose name is nearly the same, as a question; "" where there is none."""
    with suppress(OSError), os.scandir(path.parent) as entries:
        names = [entry.name for entry in islice(entries, _NAMES_LOOKED_AT)]
        near = difflib.get_close_matches(path.name[:200], names, n=1, cutoff=0.7)
        return f"; did you mean {near[0]!r}?" if near else ""
    return ""
