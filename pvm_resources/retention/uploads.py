"""Uploads that nothing has used for a while."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pvm_core.errors import StoreError
from pvm_resources.store.uploads import Uploads

#: What the name of a folder with an upload under way begins with.
UNFINISHED: Final = ".tmp-"
#: An upload takes minutes.
_UNFINISHED_AGE: Final = timedelta(days=1)


def remove_uploads(
    folder: Path,
    uploads: Uploads,
    now: datetime,
    keep: timedelta,
    failures: list[StoreError],
    *,
    dry_run: bool,
) -> int:
    """Deletes uploads that no job has used within `keep`, and those that never became whole; how many.

    One that an industry's standing sources or an open job name is kept whatever its age.

    Args:
        failures: gets an error for each file that could not be deleted.

    Raises:
        StoreError: the database is out of reach.
    """
    named = uploads.named(now - keep)
    due = [path for path in _older(folder, now, keep) if path.name not in named]
    if dry_run:
        return len(due)
    faults = [fault for path in due if (fault := _remove(path)) is not None]
    failures.extend(faults)
    left = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    uploads.keep_only(left, before=now - _UNFINISHED_AGE)
    return len(due) - len(faults)


def _remove(path: Path) -> StoreError | None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        return StoreError("purge.file", str(path), reason, "Delete it by hand if it is not needed")
    return None


def _older(folder: Path, now: datetime, keep: timedelta) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        age = _UNFINISHED_AGE if path.name.startswith(UNFINISHED) else keep
        # An upload under way may end meanwhile.
        with suppress(FileNotFoundError):
            if now - datetime.fromtimestamp(path.lstat().st_mtime, UTC) >= age:
                yield path
