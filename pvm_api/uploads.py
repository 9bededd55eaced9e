"""Catalogues and videos that callers upload: counted, hashed and checked before a job can name them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import nullcontext
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

from starlette.concurrency import run_in_threadpool

from pvm_api import models
from pvm_api.catalogue_check import CatalogueCheck, CheckLimits, Counted
from pvm_api.problems import ApiError
from pvm_api.slots import Slots
from pvm_core.errors import InputError
from pvm_resources.retention.uploads import UNFINISHED
from pvm_resources.settings import Settings
from pvm_resources.store import uploads as rows

KINDS: Final = ("csv", "tsv", "txt", "jsonl", "json", "xml", "xlsx", "xlsm", "xls", "ods")
VIDEOS: Final = ("mp4", "mkv", "webm", "mov")
_MEGABYTE: Final = 1_000_000


def kind_of(filename: str | None) -> str:
    """The kind of catalogue or video by a file's name.

    Raises:
        InputError: ``upload.kind``.
    """
    suffix = PurePosixPath(filename or "").suffix.lower().removeprefix(".")
    if suffix not in (*KINDS, *VIDEOS):
        given = (filename or "the file")[:100]
        raise InputError(
            "upload.kind",
            given,
            "it is neither a catalogue nor a video by its name",
            f"Name it .{', .'.join((*KINDS, *VIDEOS))}",
        )
    return suffix


class Uploads:
    """Stores and checks uploads within the quotas of this machine.

    Args:
        rows: who stored what.
        folder: where the files are.
    """

    def __init__(self, settings: Settings, rows: rows.Uploads, folder: Path) -> None:
        self._rows = rows
        self._folder = folder
        self._catalogue = settings.api_upload_mb * _MEGABYTE
        self._video = settings.api_upload_video_mb * _MEGABYTE
        self._quota = settings.api_upload_quota_mb * _MEGABYTE
        self._total = settings.api_upload_total_mb * _MEGABYTE
        self._check = CatalogueCheck(CheckLimits(settings.api_upload_check_s))
        self._checks = Slots("upload.busy", capacity=2, waiting=8, patience_s=60.0)

    async def take(
        self,
        chunks: AsyncIterator[bytes],
        filename: str | None,
        owner: str,
        columns: Mapping[str, str] | None = None,
    ) -> models.Upload:
        """Stores a catalogue or a video and says what it holds; one that cannot be used is not kept.

        Args:
            owner: the caller whose quota it counts against.
            columns: columns that the caller named, by field.

        Raises:
            ApiError: 413 ``upload.large``, 503 ``upload.busy``.
            InputError: ``upload.kind``, ``upload.empty``, ``upload.slow``, ``upload.heavy``, ``table.*``,
                ``catalogue.*``, ``upload.video``; 413 ``upload.quota``; 507 ``upload.full``.
        """
        kind = kind_of(filename)
        most = self._video if kind in VIDEOS else self._catalogue
        await run_in_threadpool(self._room, owner, most)
        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=UNFINISHED, dir=self._folder) as place:
            # The name of the file is in messages about its rows.
            path = Path(place) / f"{'video' if kind in VIDEOS else 'catalogue'}.{kind}"
            digest, size = await _written(chunks, path, most)
            async with self._checks.take():
                found = await run_in_threadpool(self._checked, path, columns)
            name = f"{digest}.{kind}"
            await run_in_threadpool(self._rows.add, name, owner, size, self._quota)
            # One that is there already becomes younger by it.
            path.replace(self._folder / name)
        return models.Upload(
            source=f"upload:{name}",
            sha256=digest,
            bytes=size,
            kind="videos" if kind in VIDEOS else "products",
            products=found.products if found is not None else None,
            problems=found.problems if found is not None else 0,
        )

    def close(self) -> None:
        """Ends the processes that check."""
        self._check.close()

    def _checked(self, path: Path, columns: Mapping[str, str] | None) -> Counted | None:
        """What a catalogue holds; None of a video, which can be decoded to its end."""
        if path.suffix.removeprefix(".") in VIDEOS:
            self._check.decode(path)
            return None
        try:
            return self._check.count(path, columns)
        except InputError as error:
            # Paths of this machine are not shown to callers.
            raise InputError(error.code, "the catalogue", error.reason, error.remedy) from error

    def _room(self, owner: str, most: int) -> None:
        """Refuses what is sure not to fit before it is sent."""
        if self._rows.stored(owner) >= self._quota:
            raise rows.over_quota(self._quota)
        with os.scandir(self._folder) if self._folder.is_dir() else nullcontext(()) as files:
            stored = sum(map(_size, files))
        if stored + most > self._total:
            raise InputError(
                "upload.full",
                "the upload",
                f"all uploads together would be larger than {self._total:,} bytes",
                "Let the operator run `pvm purge`, or raise PVM_API_UPLOAD_TOTAL_MB",
            )


def _size(file: os.DirEntry[str]) -> int:
    try:
        return file.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        # The folder of another upload, which has just ended.
        return 0


async def _written(chunks: AsyncIterator[bytes], path: Path, limit: int) -> tuple[str, int]:
    """Writes the bytes to `path`; their SHA-256 and number.

    Raises:
        ApiError: 413 ``upload.large``.
        InputError: ``upload.empty``.
    """
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise ApiError(
                    "upload.large", f"it is larger than {limit:,} bytes", "Split it, or name its URL"
                )
            digest.update(chunk)
            file.write(chunk)
    if size == 0:
        raise InputError("upload.empty", "the upload", "it is empty", "Send the file")
    return digest.hexdigest(), size
