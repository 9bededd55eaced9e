"""Reading pictures from files; those behind URLs are in http/."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pvm_core.errors import MediaError
from pvm_resources.sources.base import PictureRef
from pvm_resources.sources.picture_reader import Pictures


def test_files_are_read_and_fingerprinted(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"bytes")
    reader = Pictures()
    picture = PictureRef("a.jpg", path)
    assert reader.read(picture) == b"bytes"
    before = reader.fingerprint(picture)
    path.write_bytes(b"others")
    assert reader.fingerprint(picture) != before
    assert reader.fingerprint(PictureRef("x", tmp_path / "none.jpg")) is None
    assert reader.fingerprint(PictureRef("http://x.example/a.jpg")) is None


def test_unreadable_files_say_why(tmp_path: Path) -> None:
    big, pipe = tmp_path / "big.jpg", tmp_path / "pipe.jpg"
    big.write_bytes(b"x" * 2_000)
    os.mkfifo(pipe)
    loop = tmp_path / "loop.jpg"
    loop.symlink_to(loop)
    expected = {
        tmp_path / "none.jpg": "picture.missing",
        tmp_path: "picture.type",
        pipe: "picture.type",
        big: "picture.too_large",
        loop: "picture.outside",
        tmp_path / ("n" * 300): "picture.unreadable",
    }
    for path, code in expected.items():
        with pytest.raises(MediaError) as caught:
            Pictures(max_bytes=1_000).read(PictureRef("given", path))
        assert (caught.value.code, caught.value.subject) == (code, "given")


def test_a_picture_of_the_web_is_not_read_here() -> None:
    with pytest.raises(ValueError, match="is no file"):
        Pictures().read(PictureRef("https://x.example/a"))


def test_files_alone_need_no_http_client() -> None:
    """What worker processes import counts once for each of them."""
    code = "import sys, pvm_resources.sources.picture_reader; print('httpx' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
