"""Files of the media store that no row names: leftovers of runs killed between a file and its row."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import PurePosixPath
from typing import Final

from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database

#: A run writes a file's row within minutes; a day leaves no doubt.
AGE: Final = timedelta(days=1)
_CHUNK: Final = 500


@dataclass(frozen=True)
class _Kind:
    """Where the files of one folder have their rows; the stem of a file's name is the row's id."""

    table: str
    item: str
    path: str


_KINDS: Final = {
    "products": _Kind("stored_images", "img_id", "local_path"),
    "videos": _Kind("stored_frames", "frame_id", "local_path"),
    "masks": _Kind("masks", "item_id", "mask_path"),
    "kp": _Kind("keypoint_sets", "item_id", "kp_blob_path"),
    "evidence": _Kind("matches", "match_id", "evidence_path"),
}


def remove_orphans(
    database: Database, media: MediaStore, now: datetime, *, dry_run: bool = False
) -> Counter[str]:
    """Deletes files without a row that are older than a day, and files whose writing never ended.

    A file whose name is none of ours is left alone, as is one of which the store does not know the age.

    Returns:
        how many, by folder; ``unfinished`` for the latter kind.

    Raises:
        StoreError: the database or the media store is out of reach.
    """
    gone: Counter[str] = Counter()
    for folder, kind in _KINDS.items():
        keys = media.keys(folder)
        while chunk := list(islice(keys, _CHUNK)):
            for key in _unknown(database, kind, chunk):
                stored_at = media.modified(key)
                if stored_at is not None and now - stored_at >= AGE:
                    gone[folder] += 1
                    if not dry_run:
                        media.delete(key)
    gone["unfinished"] += media.remove_unfinished(now - AGE, dry_run=dry_run)
    return +gone


def _unknown(database: Database, kind: _Kind, keys: list[str]) -> Iterator[str]:
    ids = {key: item for key in keys if (item := _id(key)) is not None}
    rows = database.tuples(
        f"SELECT {kind.path} FROM {kind.table} WHERE {kind.item} = ANY(%s) AND {kind.path} IS NOT NULL",
        [list(set(ids.values()))],
    )
    known = {row[0] for row in rows}
    return (key for key in ids if key not in known)


def _id(key: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(PurePosixPath(key).stem)
    except ValueError:
        return None
