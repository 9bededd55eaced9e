"""The JavaScript runtime that YouTube's extractor runs the site's own scripts in."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Final

Version = tuple[int, ...]

#: Oldest versions that yt-dlp 2026.10.26 takes (`yt_dlp.utils._jsruntime`), in its order of preference.
MINIMUM: Final[Mapping[str, Version]] = MappingProxyType(
    {"deno": (2, 3, 0), "node": (22, 0, 0), "bun": (1, 2, 11)}
)
#: The package with the scripts that run in it.
_SCRIPTS: Final = "yt_dlp_ejs"
REMEDY: Final = "Install it: pip install deno yt-dlp-ejs"
_ANSWER_S: Final = 10.0


@dataclass(frozen=True)
class JsRuntime:
    """A runtime on this machine: its name as yt-dlp knows it, its program and its version."""

    name: str
    path: str
    version: str


@dataclass(frozen=True)
class JsSupport:
    """What YouTube's extractor finds on this machine.

    Attributes:
        runtime: the one it is given; None where none is there or all are too old.
        lack: what is missing, one clause; "" where nothing is.
    """

    runtime: JsRuntime | None
    lack: str = ""

    @property
    def reason(self) -> str:
        """What the lack means, one clause."""
        return f"{self.lack}, without which YouTube withholds formats of many videos"


def detect(
    names: Sequence[str] = tuple(MINIMUM), path: str | None = None, package: str = _SCRIPTS
) -> JsSupport:
    """The first runtime that is there and new enough.

    Args:
        names: which to look for, best first.
        path: folders as in ``PATH``; default this interpreter's programs, then ``PATH``.
        package: the module that must be installed beside it.
    """
    old: list[str] = []
    for name in names:
        program = _program(name, path)
        version = _version(program) if program else None
        if not program or not version:
            continue
        if tuple(int(part) for part in version.split(".")) >= MINIMUM[name]:
            lack = "" if find_spec(package) else "yt-dlp's scripts for YouTube (yt-dlp-ejs) are not installed"
            return JsSupport(JsRuntime(name, program, version), lack)
        needed = ".".join(str(part) for part in MINIMUM[name]).removesuffix(".0").removesuffix(".0")
        old.append(f"{name} {version} is older than {needed}")
    found = f" ({'; '.join(old)})" if old else ""
    return JsSupport(None, f"no JavaScript runtime is installed{found}")


def _program(name: str, path: str | None) -> str | None:
    if path is not None:
        return shutil.which(name, path=path)
    # The PyPI package `deno` puts its program beside this interpreter's.
    return shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)


def _version(program: str) -> str | None:
    try:
        answer = subprocess.run(
            [Path(program), "--version"], capture_output=True, text=True, timeout=_ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\d+\.\d+\.\d+", answer.stdout)
    return found[0] if found else None
