"""The media store in a bucket: what only an object store has. What every store does: `test_media.py`."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pvm_core.errors import StoreError
from pvm_resources.media.store import MediaStore
from pvm_resources.retention.orphans import remove_orphans
from pvm_resources.store.assembly import Store
from tests.fixtures_s3 import Bucket
from tests.pvm_resources.purge_place import build


def test_bytes_that_changed_in_the_bucket_are_not_returned(bucket: Bucket) -> None:
    store = MediaStore(f"{bucket.url}/home")
    store.put("products/a/b.jpg", b"as written")
    assert store.get("products/a/b.jpg") == b"as written"
    bucket.overwrite("home/products/a/b.jpg", b"as damaged")
    with pytest.raises(StoreError) as caught:
        store.get("products/a/b.jpg")
    assert (caught.value.code, caught.value.retryable) == ("media.damaged", False)
    store.put("products/a/b.jpg", b"made again")
    assert store.get("products/a/b.jpg") == b"made again"


def test_another_writer_is_seen_at_once(bucket: Bucket) -> None:
    one, other = MediaStore(bucket.url), MediaStore(f"{bucket.url}/")
    assert list(one.keys("masks")) == []
    other.put("masks/x.png", b"x")
    assert list(one.keys("masks")) == ["masks/x.png"]
    other.delete("masks/x.png")
    assert not one.exists("masks/x.png")
    assert list(one.keys("masks")) == []


def test_a_server_that_went_away_is_named_and_may_be_asked_again(bucket: Bucket) -> None:
    store = MediaStore(bucket.url)
    store.put("a/b", b"x")
    bucket.server.stop()
    for call, code in (
        (store.get, "media.read"),
        (store.exists, "media.read"),
        (store.delete, "media.write"),
    ):
        with pytest.raises(StoreError) as caught:
            call("a/b")
        assert (caught.value.code, caught.value.retryable) == (code, True)


def test_a_bucket_that_is_not_there_is_named(bucket: Bucket) -> None:
    with pytest.raises(StoreError) as caught:
        MediaStore("s3://elsewhere").put("a/b", b"x")
    assert caught.value.code == "media.write"
    assert "elsewhere" in caught.value.subject


def test_objects_that_no_row_names_go_once_they_are_a_day_old(
    bucket: Bucket, repos: Store, tmp_path: Path
) -> None:
    place = build(repos, tmp_path / "home")
    media = MediaStore(f"{bucket.url}/home")
    named = sorted(place.media.keys())
    for key in named:
        media.put(key, place.media.get(key))
    # What an older method or a killed run left: no row names it.
    stray = f"kp/p1/{uuid.uuid4()}.npz"
    media.put(stray, b"x")
    before = remove_orphans(repos.database, place.media, datetime.now(UTC) + timedelta(days=2), dry_run=True)
    assert remove_orphans(repos.database, media, datetime.now(UTC)) == {}
    removed = remove_orphans(repos.database, media, datetime.now(UTC) + timedelta(days=2))
    assert removed["kp"] == before.get("kp", 0) + 1
    assert removed.total() == before.total() + 1
    assert not media.exists(stray)
    assert len(list(media.keys())) == len(named) - before.total()
