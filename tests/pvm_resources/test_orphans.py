"""Files of the media store without a row."""

from __future__ import annotations

import os
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pvm_resources.media.store import MediaStore
from pvm_resources.retention.orphans import remove_orphans
from pvm_resources.store.assembly import Store
from tests.pvm_resources.purge_place import Place, build


@pytest.fixture
def place(repos: Store, tmp_path: Path) -> Place:
    return build(repos, tmp_path / "home")


def _stray(place: Place) -> list[str]:
    item = uuid.uuid4()
    return [
        f"products/{place.product_id(0)}/{item}.jpg",
        f"masks/products/m1/{item}.png",
        f"kp/p1/{item}.npz",
        f"evidence/{place.job_id}/{item}.jpg",
        f"videos/{place.made.videos[0].video_id}/frames/{item}.jpg",
        # The item has a row, but under another path: of an older method or a killed run.
        f"kp/p0/{place.made.images[0].img_id}.npz",
    ]


def _ago(place: Place, key: str, hours: float) -> None:
    path = place.media.path(key)
    assert path is not None
    then = time.time() - hours * 3600
    os.utime(path, (then, then))


def test_what_no_row_names_goes_once_it_is_a_day_old(place: Place) -> None:
    stray, mine = _stray(place), f"products/{place.product_id(0)}/notes.txt"
    # Drawn before its match was rejected: no row names it.
    undrawn = {k for k in place.media.keys("evidence") if str(place.product_id(2)) not in k}
    for key in [*stray, mine]:
        place.media.put(key, b"x")
        _ago(place, key, 25)
    kept = {
        *[k for k in place.media.keys() if k not in stray],  # noqa: SIM118
    }
    young = f"kp/p1/{uuid.uuid4()}.npz"
    place.media.put(young, b"x")
    now = datetime.now(UTC)
    told = remove_orphans(place.repos.database, place.media, now, dry_run=True)
    assert told == {"products": 1, "masks": 1, "kp": 2, "evidence": 1, "videos": 1}
    assert all(place.media.exists(key) for key in stray)
    assert remove_orphans(place.repos.database, place.media, now) == told
    assert set(place.media.keys()) == {*kept, young}
    assert undrawn <= kept
    assert not remove_orphans(place.repos.database, place.media, now)


def test_files_whose_writing_never_ended_go(place: Place) -> None:
    root = Path(place.settings.media)
    old, fresh = root / "products" / ".tmp-1-2-3", root / ".tmp-4-5-6"
    for path in (old, fresh):
        path.write_bytes(b"half a pic")
    os.utime(old, (0, 0))
    now = datetime.now(UTC)
    assert remove_orphans(place.repos.database, place.media, now, dry_run=True) == {"unfinished": 1}
    assert remove_orphans(place.repos.database, place.media, now) == {"unfinished": 1}
    assert (old.exists(), fresh.exists()) == (False, True)


def test_a_remote_store_is_swept_too(place: Place) -> None:
    remote = MediaStore(f"memory://{uuid.uuid4()}")
    key = f"kp/p1/{uuid.uuid4()}.npz"
    remote.put(key, b"x")
    stored_at = remote.modified(key)
    assert stored_at is not None
    assert abs(stored_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert remote.modified("kp/none.npz") is None
    later = datetime.now(UTC) + timedelta(days=2)
    assert remove_orphans(place.repos.database, remote, later) == {"kp": 1}
    assert not remote.exists(key)
