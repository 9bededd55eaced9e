"""The media store: keys, atomic writes, missing files, a full disk, other file systems."""

from __future__ import annotations

import errno
import os
import pickle
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.errors import StoreError
from pvm_resources.media.store import MediaStore, check_key
from tests.fixtures_s3 import Bucket


@pytest.fixture(params=["folder", "url", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> MediaStore:
    """A store in a folder, by file URL, in fsspec's memory, and in a bucket."""
    if request.param == "s3":
        bucket: Bucket = request.getfixturevalue("bucket")
        return MediaStore(f"{bucket.url}/{uuid.uuid4().hex}")
    urls = {
        "folder": str(tmp_path / "m"),
        "url": f"file://{tmp_path}/m",
        "memory": f"memory://m{uuid.uuid4().hex}",
    }
    return MediaStore(urls[request.param])


def test_put_get_exists_delete(store: MediaStore) -> None:
    key = "products/a/b.jpg"
    assert not store.exists(key)
    assert store.size(key) is None
    assert store.put(key, b"one") == key
    assert store.get(key) == b"one"
    store.put(key, b"other")
    assert (store.get(key), store.size(key), store.exists(key)) == (b"other", 5, True)
    store.put("masks/x.png", b"")
    assert sorted(store.keys()) == ["masks/x.png", key]
    assert list(store.keys("products")) == [key]
    assert store.url_of(key).endswith(key)
    store.delete(key)
    store.delete(key)
    assert not store.exists(key)


def test_missing(store: MediaStore) -> None:
    with pytest.raises(StoreError) as caught:
        store.get("kp/none.npz")
    assert (caught.value.code, caught.value.subject) == ("media.missing", "kp/none.npz")


def test_it_travels_to_a_worker(store: MediaStore) -> None:
    store.put("a/b", b"x")
    again = pickle.loads(pickle.dumps(store))
    assert again.get("a/b") == b"x"


@pytest.mark.parametrize(
    "key",
    [
        "", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "a/./b", "a/", ".hidden", "a/.tmp-1", "a\\b",
        "c:/x", "a\0b", "a b", "gối", "a\nb", "x" * 201, "/".join(["x" * 100] * 10), "~/x", "a?b", "file://x",
    ],
)  # fmt: skip
def test_keys_that_are_refused(tmp_path: Path, key: str) -> None:
    store = MediaStore(str(tmp_path))
    for call in (
        store.get,
        store.exists,
        store.path,
        store.delete,
        store.url_of,
        lambda k: store.put(k, b""),
    ):
        with pytest.raises(ValueError, match="not a key"):
            call(key)


@given(st.text(max_size=60))
def test_no_key_leaves_the_store(key: str) -> None:
    root = Path("/store/root")
    try:
        check_key(key)
    except ValueError:
        return
    assert Path(os.path.normpath(root / key)).is_relative_to(root)
    assert Path(os.path.normpath(root / key)) != root


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    store = MediaStore(str(tmp_path))
    store.put("a/x", b"0" * 100_000)

    def write(n: int) -> None:
        store.put("a/x", bytes([48 + n]) * 100_000)

    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(write, n % 10) for n in range(40)]
        seen = [store.get("a/x") for _ in range(100)]
        for done in writing:
            done.result()
    assert all(len(data) == 100_000 and len(set(data)) == 1 for data in seen)
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["x"]


def test_a_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    store = MediaStore(str(tmp_path))
    store.put("a/x", b"old")

    def full(self: Path, *_: object, **__: object) -> object:
        return open("/dev/full", "wb", buffering=0)  # noqa: PTH123

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(StoreError) as caught:
            store.put("a/x", b"new")
    assert caught.value.code == "store.disk_full"
    assert caught.value.retryable
    assert store.get("a/x") == b"old"


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = MediaStore(str(tmp_path / "file"))
    with pytest.raises(StoreError) as caught:
        store.put("a/x", b"")
    assert caught.value.code == "media.write"
    cause = caught.value.__cause__
    assert isinstance(cause, OSError)
    assert cause.errno == errno.ENOTDIR


def test_a_folder_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    store = MediaStore(str(tmp_path / "m"))
    store.put("a/x", b"1")
    (tmp_path / "m" / "a" / "x").unlink()
    (tmp_path / "m" / "a").rmdir()
    store.put("a/x", b"2")
    assert store.get("a/x") == b"2"


def test_an_unknown_file_system() -> None:
    with pytest.raises(StoreError) as caught:
        MediaStore("nosuch://bucket/x")
    assert caught.value.code == "media.url"
