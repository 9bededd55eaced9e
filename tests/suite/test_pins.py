"""Pins: every file that is installed is named with its hash, and one that differs is refused."""

from __future__ import annotations

import re
import subprocess
import tomllib
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
FILES = ("requirements.txt", "requirements-base.txt", "requirements-models.txt", "requirements-build.txt")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def _pins(name: str) -> dict[str, str]:
    """Version by name; fails where a line is anything but a pin with its hashes."""
    found: dict[str, str] = {}
    for block in re.sub(r"\\\n\s*", " ", (ROOT / name).read_text()).splitlines():
        requirement = Requirement(_HASH.sub("", block).strip())
        (only,) = requirement.specifier
        assert only.operator == "==", block
        assert requirement.url is None
        assert _HASH.search(block), f"{requirement.name} has no hash"
        found[canonicalize_name(requirement.name)] = only.version
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_pin_has_its_hashes_and_no_file_names_a_place(name: str) -> None:
    assert _pins(name)
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"(?m)^\s*(-i|-f|--index|--extra-index|--find-links|--trusted-host|#)", text)


def test_the_base_is_a_part_of_everything_and_has_what_the_project_asks_for() -> None:
    base, full = _pins("requirements-base.txt"), _pins("requirements.txt")
    assert base.items() <= full.items()
    assert "torch" not in base
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in project["dependencies"]:
        requirement = Requirement(line)
        assert base[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_models_are_a_part_of_everything_without_tools_of_developers() -> None:
    base, models, full = (_pins(f"requirements{name}.txt") for name in ("-base", "-models", ""))
    assert base.items() <= models.items() <= full.items()
    assert {"torch", "timm", "onnxruntime"} <= models.keys()
    assert not {"pytest", "ruff", "mypy"} & models.keys()


def _wheel(folder: Path) -> Path:
    path = folder / "harmless-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("harmless.py", "")
        info = "harmless-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: harmless\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "harmless.py,,\n")
    return path


def _install(folder: Path, pins: str) -> subprocess.CompletedProcess[str]:
    """Installs from `folder` with the options that make uses."""
    (folder / "pins.txt").write_text(pins)
    command = subprocess.run(
        ["make", "--no-print-directory", "--eval", "shown: ; @echo $(INSTALL)", "shown"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    options = f"--no-index --no-cache --find-links {folder} --target {folder}/to -r {folder}/pins.txt"
    return subprocess.run(
        ["bash", "-c", f"{command} {options}"], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_a_file_that_was_exchanged_is_not_installed(tmp_path: Path) -> None:
    right = sha256(_wheel(tmp_path).read_bytes()).hexdigest()
    for line, said in (
        (f"harmless==1.0 --hash=sha256:{'0' * 64}", "ash mismatch"),
        ("harmless==1.0", "hash"),
    ):
        done = _install(tmp_path, line + "\n")
        assert done.returncode != 0
        assert said in done.stderr
        assert not (tmp_path / "to" / "harmless.py").exists()
    assert _install(tmp_path, f"harmless==1.0 --hash=sha256:{right}\n").returncode == 0
    assert (tmp_path / "to" / "harmless.py").exists()
