"""The media store: pictures, masks, keypoints and evidence, in a folder or at any fsspec URL."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import posixpath
import re
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pvm_core.errors import StoreError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_SCHEME: Final = re.compile(r"^[a-z][a-z0-9+.-]*(::|://)", re.IGNORECASE)
#: Keys become file names on every system: no separators but "/", no control characters, no drive letters.
_PART: Final = re.compile(r"[A-Za-z0-9_.=+@-]{1,200}")
_KEY_MAX: Final = 900
#: Prefix of the names of unfinished files.
_UNFINISHED: Final = ".tmp-"
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}
#: botocore's error where an object's bytes do not match its checksum.
_DAMAGED: Final = "FlexibleChecksumError"
_counter = itertools.count()


class MediaStore:
    """Bytes under keys such as ``products/<product>/<image>.jpg``.

    Cheap to make and to pickle; worker processes make their own from `url`.

    Args:
        url: a folder, or any URL fsspec knows (``s3://bucket/prefix``, ``memory://x``).
        durable: `put` returns only when the bytes would survive a power loss (local folders). Off by
            default: everything stored here can be computed again, and the next run repairs a row that
            names a lost file.

    Raises:
        StoreError: ``media.url`` where no installed file system serves the URL.
    """

    def __init__(self, url: str, *, durable: bool = False) -> None:
        self.url = url
        self._durable = durable
        self._root: Path | None = None
        self._remote: AbstractFileSystem | None = None
        self._prefix = ""
        if url.startswith("file://"):
            url = url.removeprefix("file://")
        if _SCHEME.match(url):
            self._remote, self._prefix = _filesystem(url)
        else:
            self._root = Path(os.path.abspath(os.path.expanduser(url)))  # noqa: PTH100, PTH111  # symlinks stay
        self._made: set[str] = set()

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.url, self._durable)

    def put(self, key: str, data: bytes) -> str:
        """Stores `data` under `key` and returns the key; readers see the old bytes or the new, never a part.

        Raises:
            ValueError: the key is not valid.
            StoreError: ``store.disk_full``, or ``media.write``.
        """
        check_key(key)
        try:
            with self._faults("media.write", key):
                if self._root is not None:
                    self._put_local(self._root / key, data)
                else:
                    self._put_remote(self._at(key), data)
        except (FileNotFoundError, IsADirectoryError) as error:
            # Of a bucket, too.
            raise self._failure("media.write", key, error) from error
        return key

    def get(self, key: str) -> bytes:
        """The bytes under `key`.

        Raises:
            ValueError: the key is not valid.
            StoreError: ``media.missing``; ``media.damaged``, where the bytes do not match the checksum that
                an object store keeps with them; ``media.read`` (retryable).
        """
        check_key(key)
        try:
            with self._faults("media.read", key):
                if self._root is not None:
                    return (self._root / key).read_bytes()
                data: bytes = self._fs.cat_file(self._at(key))
                return data
        except (FileNotFoundError, IsADirectoryError):
            raise StoreError(
                "media.missing",
                key,
                f"the media store {self.url} does not hold it",
                "Run the job again to make it",
            ) from None

    def exists(self, key: str) -> bool:
        """True where `key` is stored."""
        check_key(key)
        if self._root is not None:
            return (self._root / key).is_file()
        try:
            with self._faults("media.read", key):
                # `isfile` says False whatever went wrong.
                return bool(self._fs.info(self._at(key))["type"] == "file")
        except FileNotFoundError:
            return False

    def delete(self, key: str) -> None:
        """Removes `key`; no error where it is not stored.

        Raises:
            StoreError: ``media.write`` (retryable).
        """
        check_key(key)
        try:
            with contextlib.suppress(FileNotFoundError), self._faults("media.write", key):
                if self._root is not None:
                    (self._root / key).unlink(missing_ok=True)
                else:
                    self._fs.rm_file(self._at(key))
        except IsADirectoryError as error:
            raise self._failure("media.write", key, error) from error

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Every key that starts with the folder `prefix`, unsorted."""
        if prefix:
            check_key(prefix)
        if self._root is not None:
            base = self._root / prefix
            for folder, _, names in os.walk(base):
                inside = Path(folder).relative_to(self._root).as_posix()
                yield from (
                    posixpath.normpath(f"{inside}/{n}") for n in names if not n.startswith(_UNFINISHED)
                )
            return
        start = len(self._prefix) + 1 if self._prefix else 0
        with self._faults("media.read", prefix):
            found = self._fs.find(self._at(prefix) if prefix else self._prefix)
        for one in found:
            yield str(one)[start:]

    def size(self, key: str) -> int | None:
        """Bytes stored under `key`; None where it is not stored."""
        check_key(key)
        try:
            with self._faults("media.read", key):
                if self._root is not None:
                    return (self._root / key).stat().st_size
                return int(self._fs.size(self._at(key)))
        except FileNotFoundError:
            return None

    def modified(self, key: str) -> datetime | None:
        """When `key` was stored, with a zone; None where it is not stored or the store does not say."""
        check_key(key)
        try:
            with self._faults("media.read", key):
                if self._root is not None:
                    return datetime.fromtimestamp((self._root / key).stat().st_mtime, UTC)
                found: datetime = self._fs.modified(self._at(key))
        except (FileNotFoundError, NotImplementedError):
            return None
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)

    def remove_unfinished(self, before: datetime, *, dry_run: bool = False) -> int:
        """Deletes unfinished files begun before that time; returns how many.

        Object stores publish an object whole, so only a local folder has any.
        """
        if self._root is None:
            return 0
        count = 0
        for folder, _, names in os.walk(self._root):
            for name in (n for n in names if n.startswith(_UNFINISHED)):
                path = Path(folder) / name
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < before.timestamp():
                        count += 1
                        if not dry_run:
                            path.unlink()
        return count

    def path(self, key: str) -> Path | None:
        """The file of `key` where the store is a local folder, else None."""
        check_key(key)
        return None if self._root is None else self._root / key

    def url_of(self, key: str) -> str:
        """The address of `key` for people: a ``file://`` or remote URL."""
        check_key(key)
        if self._root is not None:
            return (self._root / key).as_uri()
        return str(self._fs.unstrip_protocol(self._at(key)))

    @property
    def _fs(self) -> AbstractFileSystem:
        assert self._remote is not None
        return self._remote

    def _at(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _put_local(self, path: Path, data: bytes) -> None:
        folder = str(path.parent)
        if folder in self._made:
            try:
                self._replace(path, data)
                return
            except FileNotFoundError:
                # The folder was removed since it was made.
                self._made.discard(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._replace(path, data)
        self._made.add(folder)

    def _replace(self, path: Path, data: bytes) -> None:
        # A name of each writer's own: process, thread and count.
        fresh = path.parent / f"{_UNFINISHED}{os.getpid()}-{threading.get_ident()}-{next(_counter)}"
        try:
            with fresh.open("wb") as file:
                file.write(data)
                if self._durable:
                    file.flush()
                    os.fsync(file.fileno())
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise

    def _put_remote(self, at: str, data: bytes) -> None:
        if self._remote is not None and self._remote.protocol in ("memory", ("memory",)):
            self._fs.makedirs(posixpath.dirname(at), exist_ok=True)
        # Object stores publish an object whole, at the end of its upload.
        self._fs.pipe_file(at, data)

    @contextlib.contextmanager
    def _faults(self, code: str, key: str) -> Iterator[None]:
        """Turns the store's errors into StoreErrors; what is missing is the caller's to answer."""
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotImplementedError):
            raise
        except _kinds() as error:
            raise self._failure(code, key, error) from error

    def _failure(self, code: str, key: str, error: Exception) -> StoreError:
        at = f"{self.url}/{key}"
        if isinstance(error, OSError) and error.errno in _FULL:
            return StoreError("store.disk_full", self.url, "no space is left", "Free space, then run again")
        if type(error).__name__ == _DAMAGED:
            remedy = "Delete the object; the next run of its job makes it again"
            return StoreError("media.damaged", at, "its bytes do not match its checksum", remedy)
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return StoreError(code, at, reason, "Check the media store", retryable=True)


def _kinds() -> tuple[type[Exception], ...]:
    """What a file system may raise. botocore's own errors, no OSErrors, say that a server cannot be reached,
    that there are no credentials, or that a checksum does not match."""
    botocore = sys.modules.get("botocore.exceptions")
    return (OSError,) if botocore is None else (OSError, botocore.BotoCoreError)


def check_key(key: str) -> None:
    """Refuses a key that is not a plain relative path below the store.

    Raises:
        ValueError: it is empty, absolute, too long, climbs, or holds other than ``A-Za-z0-9_.=+@-/``.
    """
    parts = key.split("/")
    fine = len(key) <= _KEY_MAX and all(_PART.fullmatch(p) and not p.startswith(".") for p in parts)
    if not fine:
        raise ValueError(f"{key[:120]!r} is not a key of the media store")


def _rebuild(url: str, durable: bool) -> MediaStore:
    return MediaStore(url, durable=durable)


def _filesystem(url: str) -> tuple[AbstractFileSystem, str]:
    from fsspec.core import url_to_fs

    try:
        # What another process stored or deleted is seen at once.
        found, prefix = url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError, OSError) as error:
        raise StoreError(
            "media.url",
            url.partition("?")[0],
            str(error),
            "Install the fsspec file system of that URL (of s3:// the extra s3), or correct it",
        ) from error
    return found, str(prefix).rstrip("/")
