"""Files of the media store that no row names: leftovers of runs killed between a file and its row."""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import datetime, timedelta
from itertools import islice
from pathlib import PurePosixPath
from typing import Final

from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.store.retention import STORED_FILES, Retention

#: A run writes a file's row within minutes; a day leaves no doubt.
AGE: Final = timedelta(days=1)
_CHUNK: Final = 500


def remove_orphans(
    database: Database, media: MediaStore, now: datetime, *, dry_run: bool = False
) -> Counter[str]:
    """Deletes files without a row that are older than a day, and unfinished files.

    A file whose name is not an id is kept, and one whose age the store does not know.

    Returns:
        how many, by folder; ``unfinished`` for the unfinished ones.

    Raises:
        StoreError: the database or the media store is out of reach.
    """
    deleted: Counter[str] = Counter()
    retention = Retention(database)
    for folder in STORED_FILES:
        keys = media.keys(folder)
        while chunk := list(islice(keys, _CHUNK)):
            ids = {key: item for key in chunk if (item := _id(key)) is not None}
            known = retention.paths(folder, list(set(ids.values())))
            for key in (key for key in ids if key not in known):
                stored_at = media.modified(key)
                if stored_at is not None and now - stored_at >= AGE:
                    deleted[folder] += 1
                    if not dry_run:
                        media.delete(key)
    deleted["unfinished"] += media.remove_unfinished(now - AGE, dry_run=dry_run)
    return +deleted


def _id(key: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(PurePosixPath(key).stem)
    except ValueError:
        return None
