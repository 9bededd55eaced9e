"""The bytes of a user's table or feed: from a file or from memory, unpacked, counted while they are read."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Protocol

from pvm_core.errors import InputError
from pvm_resources.sources.catalogue import limits
from pvm_resources.sources.confined import Bounds

_GZIP: Final = b"\x1f\x8b"
_HEAD: Final = 4_096
_CHUNK: Final = 65_536


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Content:
    """Bytes that are read once, from the front.

    Args:
        subject: the table as its user knows it.
        stream: where the bytes come from; its opener closes it.
        limit: most bytes that may come.
        packed: bytes of the file that is being unpacked; None where it is none.
    """

    def __init__(self, subject: str, stream: _Stream, limit: int, packed: int | None = None) -> None:
        self.subject = subject
        self._stream = stream
        self._limit = limit
        self._packed = packed
        self._read = 0
        self._head = b""

    def head(self) -> bytes:
        """The first bytes, up to 4,096, which stay to be read.

        Raises:
            InputError: as `chunks`.
        """
        if not self._head:
            self._head = self._more(_HEAD)
        return self._head

    def chunks(self) -> Iterator[bytes]:
        """All bytes, piece by piece.

        Raises:
            InputError: ``table.too_large``, ``table.limits`` (a packed file that grows beyond measure),
                ``table.unreadable``, ``table.truncated`` (a packed file that ends early).
        """
        piece = self.head()
        while piece:
            yield piece
            piece = self._more(_CHUNK)

    def whole(self) -> bytes:
        """All bytes at once.

        Raises:
            InputError: as `chunks`.
        """
        return b"".join(self.chunks())

    def _more(self, size: int) -> bytes:
        try:
            piece = self._stream.read(size)
        except EOFError as error:
            reason = "the packed file ends before its content does"
            raise InputError("table.truncated", self.subject, reason, "Copy or export it again") from error
        except (OSError, zlib.error) as error:
            # A damaged gzip file is an OSError too.
            reason = f"it cannot be read ({getattr(error, 'strerror', None) or error})"
            raise InputError("table.unreadable", self.subject, reason, "Copy or export it again") from error
        self._read += len(piece)
        if self._read > self._limit:
            raise too_large(self.subject, self._limit)
        if self._packed is not None:
            self._check_ratio(self._packed)
        return piece

    def _check_ratio(self, packed: int) -> None:
        if self._read > max(limits.RATIO_FREE, limits.MAX_RATIO * packed):
            reason = f"its {packed:,} packed bytes become more than {limits.MAX_RATIO} times as many"
            raise InputError("table.limits", self.subject, reason, "Give the file as it was before packing")


@contextmanager
def opened(path: Path, bounds: Bounds) -> Iterator[Content]:
    """The content of a file, unpacked where it is a gzip file.

    Raises:
        InputError: ``table.missing``, ``table.type`` (a folder), ``table.too_large``, ``table.unreadable``;
            ``source.outside``.
    """
    subject = str(path)
    try:
        if path.is_dir():
            raise InputError("table.type", subject, "it is a folder, not a file", "Name the CSV file in it")
        file = bounds.opened(path)
    except FileNotFoundError as error:
        raise InputError("table.missing", subject, "there is no such file", "Check the name") from error
    except (OSError, ValueError) as error:
        reason = f"it cannot be read ({getattr(error, 'strerror', None) or error})"
        raise InputError("table.unreadable", subject, reason, "Check its name and permissions") from error
    with file:
        if (size := os.fstat(file.fileno()).st_size) > limits.MAX_BYTES:
            raise too_large(subject, limits.MAX_BYTES, size)
        yield _unpacked(subject, file, size)


def held(subject: str, data: bytes) -> Content:
    """The content of bytes in memory, unpacked where they are a gzip file."""
    return _unpacked(subject, io.BytesIO(data), len(data))


def _unpacked(subject: str, file: IO[bytes], size: int) -> Content:
    packed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    if packed:
        return Content(subject, gzip.GzipFile(fileobj=file, mode="rb"), limits.MAX_UNPACKED, size)
    return Content(subject, file, limits.MAX_BYTES)


def too_large(subject: str, limit: int, size: int | None = None) -> InputError:
    """The error of a table over `limit` bytes; `size` where it is known."""
    what = (
        f"{size:,} bytes, more than the {limit:,} allowed"
        if size
        else f"more than the {limit:,} bytes allowed"
    )
    return InputError("table.too_large", subject, what, "Split it and run a job for each part")
