"""A whole job whose pictures lie in a bucket."""

from __future__ import annotations

import pytest
from stand import Stand

from pvm_resources.media.store import MediaStore
from tests.fixtures_s3 import Bucket


@pytest.fixture
def in_bucket(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of the media store, which the settings of the test name."""
    url = f"{bucket.url}/home"
    monkeypatch.setenv("PVM_MEDIA_URL", url)
    return url


def test_a_job_keeps_its_pictures_in_the_bucket_and_finds_them_again(in_bucket: str, fresh: Stand) -> None:
    job = fresh.job()
    outcome = fresh.run(job)
    assert outcome.status == "completed", outcome.error
    media = MediaStore(in_bucket)
    kept = sorted(media.keys())
    assert {key.split("/")[0] for key in kept} >= {"products", "videos", "masks", "kp", "evidence"}
    assert not (fresh.settings.home / "media").exists()

    written = {key: media.modified(key) for key in kept if key.startswith(("products", "videos", "kp"))}
    assert fresh.run(fresh.job()).status == "completed"
    assert {key: media.modified(key) for key in written} == written, "pictures were computed again"
