"""The archive: a tar file with a manifest first, then the parts, and at its end the hash of each.

::

    manifest.json     what made it, when, from which versions
    databases/…       dumps in PostgreSQL's custom format
    media/…           files of the media store under their keys
    home/…            files of the home: uploads, downloads, calibrations, Dagster's storage
    checksums.json    SHA-256 of each member above
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from pvm_core.errors import InputError, StoreError

#: Raised where an older release could not restore what this one writes.
FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
CHECKSUMS: Final = "checksums.json"
_CHUNK: Final = 1 << 20
#: A manifest takes some hundred bytes, the checksums a hundred for each file.
_SMALL: Final = 1 << 30


@dataclass(frozen=True)
class Manifest:
    """What an archive holds.

    Attributes:
        format: of the archive, see `FORMAT`.
        created_at: ISO 8601, with a zone.
        version: of this project.
        schema: revision of our tables.
        postgres: major version of the server that was dumped.
        home: where the home lay; paths below it are stored in rows.
        media: whether the files of the media store and the home's are in it.
        secrets: whether API keys, webhooks with their secrets and sources' tokens are in it.
    """

    format: int
    created_at: str
    version: str
    schema: str
    postgres: int
    home: str
    media: bool
    secrets: bool


class _Hashed(io.RawIOBase):
    """Hashes what is read through it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.digest.update(data)
        return data


class Writer:
    """Adds members to an archive; each is hashed on its way."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._sums: dict[str, str] = {}

    def add(self, name: str, data: bytes) -> None:
        """A member from bytes."""
        self._put(name, io.BytesIO(data), len(data))

    def add_file(self, name: str, path: Path) -> bool:
        """A member from a file; False where it is gone."""
        try:
            with path.open("rb") as file:
                self._put(name, file, os.fstat(file.fileno()).st_size)
        except FileNotFoundError:
            return False
        return True

    def finish(self) -> None:
        """Writes the hashes."""
        self._put(CHECKSUMS, io.BytesIO(json.dumps(self._sums).encode()), None)

    def _put(self, name: str, source: IO[bytes], size: int | None) -> None:
        hashed = _Hashed(source)
        info = tarfile.TarInfo(name)
        info.size = len(source.getbuffer()) if size is None else size  # type: ignore[attr-defined]
        info.mode = 0o600
        self._tar.addfile(info, hashed)
        self._sums[name] = hashed.digest.hexdigest()


@contextmanager
def written(path: Path, manifest: Manifest) -> Iterator[Writer]:
    """A new archive at `path`, mode 0600; it is there whole or not at all.

    Raises:
        InputError: ``backup.exists``.
        StoreError: ``store.disk_full``, ``backup.write``.
    """
    if path.exists():
        raise InputError(
            "backup.exists", str(path), "there is such a file already", "Name another, or remove it"
        )
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                    writer = Writer(tar)
                    writer.add(MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
                    yield writer
                    writer.finish()
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        remedy = "Name a folder with room that you may write"
        raise StoreError("backup.write", str(path), error.strerror or str(error), remedy) from error


def checked(path: Path) -> Manifest:
    """Reads the whole archive, compares every hash, and returns its manifest.

    Raises:
        InputError: ``backup.missing``, ``backup.damaged``, ``backup.newer``.
    """
    manifest: Manifest | None = None
    found: dict[str, str] = {}
    sums: dict[str, str] | None = None
    with opened(path) as members:
        for name, source in members:
            if name == MANIFEST:
                manifest = _manifest(path, source.read(_SMALL))
            elif name == CHECKSUMS:
                sums = _json(path, source.read(_SMALL))
            else:
                found[name] = _digest(source)
    if manifest is None or sums is None:
        raise damaged(path, "it ends early, or is no backup of pvm")
    sums.pop(MANIFEST, None)
    if wrong := next(
        (name for name in sums.keys() | found.keys() if sums.get(name) != found.get(name)), None
    ):
        raise damaged(path, f"{wrong} is not what was saved")
    return manifest


@contextmanager
def opened(path: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """Name and content of each member, in order, to be read within the block; names are relative and do not
    climb.

    Raises:
        InputError: ``backup.missing``, ``backup.damaged``.
    """
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r|") as tar:
            yield _members(path, tar)
    except FileNotFoundError:
        raise InputError("backup.missing", str(path), "there is no such file", "Name the backup") from None
    except tarfile.TarError as error:
        raise damaged(path, f"it is no tar file, or ends early ({error})") from error


def _members(path: Path, tar: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for info in tar:
        parts = PurePosixPath(info.name).parts
        source = tar.extractfile(info) if info.isfile() else None
        if source is None or not parts or info.name.startswith("/") or ".." in parts:
            raise damaged(path, f"it holds {info.name!r}")
        yield info.name, source


def _digest(source: IO[bytes]) -> str:
    hashed = _Hashed(source)
    while hashed.read(_CHUNK):
        pass
    return hashed.digest.hexdigest()


def damaged(path: Path, reason: str) -> InputError:
    """The error of an archive that cannot be used."""
    return InputError("backup.damaged", str(path), reason, "Use another backup, or copy this one again")


def _manifest(path: Path, data: bytes) -> Manifest:
    given = _json(path, data)
    number = given.get("format")
    if isinstance(number, int) and number > FORMAT:
        reason = f"a newer release wrote it (format {number}; this one reads up to {FORMAT})"
        raise InputError("backup.newer", str(path), reason, "Update this project")
    try:
        return Manifest(**{field.name: given[field.name] for field in fields(Manifest)})
    except KeyError as error:
        raise damaged(path, f"its manifest lacks {error}") from error


def _json(path: Path, data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError as error:
        raise damaged(path, "its manifest cannot be read") from error
    if not isinstance(found, dict):
        raise damaged(path, "its manifest cannot be read")
    return found
