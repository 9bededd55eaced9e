"""What `make bench` holds each stage against, on a case of one clip."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from pvm_core.images import encode_jpeg
from tests.pvm_assets.small_case import write_clip
from tests.pvm_core.prints import label


def test_the_plain_loop_measures_every_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).resolve().parent.parent.parent
    monkeypatch.syspath_prepend(str(root / "bench"))
    # It sets both for the processes that it measures.
    for name in ("OPENCV_FOR_THREADS_NUM", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    case, media = tmp_path / "case", tmp_path / "home" / "media"
    folders = case / "images", case / "videos", media / "videos", media / "products"
    for folder in folders:
        folder.mkdir(parents=True)
    write_clip(case / "videos" / "clip.mp4", 1, label(1), shots=1)
    for place, seed in ((case / "images", 1), (media / "videos", 2), (media / "products", 1)):
        (place / "one.jpg").write_bytes(encode_jpeg(label(seed)))
    found = import_module("bench_pipeline").plain_loops(case, tmp_path / "home", "classic")
    assert {"product_images", "keyframes", "masks", "embeddings", "keypoints", "matches"} == set(found)
    assert all(seconds > 0 for seconds in found.values())
