"""Writes a backup."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from pvm_core.errors import StoreError
from pvm_resources.backup import databases
from pvm_resources.backup.archive import FORMAT, Manifest, Writer, written
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres import migrate
from pvm_resources.postgres.connect import dagster_url, database_dsn
from pvm_resources.settings import Settings

#: Files of the home that are no part of the media store. Weights are downloaded again, logs are not needed.
FOLDERS: Final = ("uploads", "downloads", "models/calibration", "dagster")
DATABASES: Final = ("pvm", "dagster")


@dataclass(frozen=True)
class Saved:
    """What a backup holds.

    Attributes:
        manifest: of the archive.
        files: how many of the media store and the home.
        size: bytes of the archive.
    """

    manifest: Manifest
    files: int
    size: int


def back_up(
    settings: Settings,
    target: Path,
    *,
    media: bool = True,
    secrets: bool = True,
    progress: Callable[[int], None] = lambda _: None,
) -> Saved:
    """Writes both databases, media and the home's files to `target`. The databases must be up.

    The databases are dumped first, each in one snapshot: every file their rows name was stored before.

    Args:
        media: with the files of the media store, uploads and downloads.
        secrets: with API keys, webhooks and tokens of sources.
        progress: called with the number of files written so far.

    Raises:
        InputError: ``backup.exists``.
        StoreError: ``backup.*``, ``home.empty``; the databases or the media store are out of reach.
    """
    dsn = database_dsn(settings)
    schema = migrate.current(dsn)
    if schema is None:
        raise StoreError("home.empty", str(settings.home), "it holds no jobs yet", "Run a job first")
    manifest = Manifest(
        FORMAT,
        datetime.now(UTC).isoformat(timespec="seconds"),
        version("product-video-matching"),
        schema,
        databases.major_version(dsn),
        str(settings.home),
        media,
        secrets,
    )
    with written(target, manifest) as writer:
        _dumps(settings, writer, target.parent, secrets=secrets)
        files = _files(settings, writer, progress) if media else 0
    return Saved(manifest, files, target.stat().st_size)


def _dumps(settings: Settings, writer: Writer, scratch: Path, *, secrets: bool) -> None:
    urls = {"pvm": database_dsn(settings), "dagster": dagster_url(settings)}
    with tempfile.TemporaryDirectory(prefix=".pvm-backup-", dir=scratch) as folder:
        for name in DATABASES:
            path = Path(folder, f"{name}.dump")
            without = databases.SECRETS if name == "pvm" and not secrets else ()
            databases.dump(urls[name], path, without=without)
            writer.add_file(f"databases/{name}.dump", path)


def _files(settings: Settings, writer: Writer, progress: Callable[[int], None]) -> int:
    count = 0
    store = MediaStore(settings.media)
    for key in store.keys():  # noqa: SIM118  # no dictionary
        path = store.path(key)
        try:
            there = writer.add_file(f"media/{key}", path) if path else _fetched(store, key, writer)
        except ValueError:
            # Somebody else's file in the folder of the store: no key names it.
            continue
        count += there
        progress(count)
    for folder in FOLDERS:
        for path in sorted((settings.home / folder).rglob("*")):
            if path.is_file() and not path.is_symlink():
                name = path.relative_to(settings.home).as_posix()
                count += writer.add_file(f"home/{name}", path)
                progress(count)
    return count


def _fetched(store: MediaStore, key: str, writer: Writer) -> bool:
    try:
        writer.add(f"media/{key}", store.get(key))
    except StoreError as error:
        if error.code != "media.missing":
            raise
        return False
    return True
