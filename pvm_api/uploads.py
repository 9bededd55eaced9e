"""Catalogues that callers upload: counted, hashed and checked before a job can name them."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath
from typing import Final

from pvm_api import models
from pvm_api.problems import ApiError
from pvm_core.errors import InputError

KINDS: Final = ("csv", "tsv", "jsonl", "json", "xml")


def kind_of(filename: str | None) -> str:
    """The kind of catalogue by a file's name.

    Raises:
        InputError: ``upload.kind``.
    """
    suffix = PurePosixPath(filename or "").suffix.lower().removeprefix(".")
    if suffix not in KINDS:
        given = (filename or "the file")[:100]
        raise InputError(
            "upload.kind", given, "it is no catalogue by its name", f"Name it .{', .'.join(KINDS)}"
        )
    return suffix


async def keep(chunks: AsyncIterator[bytes], folder: Path, kind: str, limit: int) -> tuple[Path, str, int]:
    """Writes the bytes below `folder` under their SHA-256; returns path, hash and size.

    Raises:
        ApiError: 413 ``upload.large``.
        InputError: ``upload.empty``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".tmp-{os.getpid()}-{secrets.token_hex(8)}"
    digest, size = hashlib.sha256(), 0
    try:
        with fresh.open("wb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise ApiError(
                        "upload.large", f"it is larger than {limit:,} bytes", "Split it, or name its URL"
                    )
                digest.update(chunk)
                file.write(chunk)
        if size == 0:
            raise InputError("upload.empty", "the upload", "it is empty", "Send the catalogue")
        path = folder / f"{digest.hexdigest()}.{kind}"
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return path, digest.hexdigest(), size


def check(path: Path, digest: str, size: int) -> models.Upload:
    """What the catalogue holds; a file that cannot be used is removed again. Reads no pixel.

    Raises:
        InputError: ``table.*``, ``catalogue.*``.
    """
    from pvm_resources.sources.base import Query
    from pvm_resources.sources.catalogue.file_catalogue import FileCatalogue

    try:
        found = FileCatalogue(path, namespace="").collect(Query(""))
    except InputError as error:
        path.unlink(missing_ok=True)
        # Paths of this machine are not shown to callers.
        raise InputError(error.code, "the catalogue", error.reason, error.remedy) from error
    return models.Upload(
        source=f"upload:{path.name}",
        sha256=digest,
        bytes=size,
        products=len(found.records),
        problems=len(found.problems),
    )
