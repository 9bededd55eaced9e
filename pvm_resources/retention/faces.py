"""Numbers about faces whose time is over: personal data, kept as long as the rule `keep_faces_days` says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pvm_core.errors import StoreError
from pvm_resources.media.store import MediaStore
from pvm_resources.store.attention import Attention


def remove_faces(
    attention: Attention,
    media: MediaStore,
    days_of: Mapping[str, float],
    now: datetime,
    failures: list[StoreError],
    *,
    dry_run: bool = False,
) -> int:
    """Deletes what is over: files, then rows, so that a rerun of a killed purge completes it.

    Args:
        days_of: industry slug -> days; none: everything goes.
        failures: takes files that could not be deleted; their rows stay for the next purge.

    Returns:
        how many videos' faces are over.

    Raises:
        StoreError: the database is out of reach.
    """
    gone = 0
    for video, key, files in attention.aged(days_of, now):
        try:
            if not dry_run:
                for file in files:
                    media.delete(file)
                attention.forget(video, key)
        except StoreError as error:
            failures.append(error)
            continue
        gone += 1
    return gone
