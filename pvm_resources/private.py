"""Files of this platform are its account's alone: the umask of its processes, and the mode of its home."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pvm_core.errors import StoreError

#: Permissions of the group and of others.
OTHERS: Final = 0o077
#: What lies in a home. A folder that holds anything else is also somebody else's, and is not closed by us.
CONTENT: Final = frozenset(
    {
        "pg", "media", "models", "dagster", "run", "logs", "demo", "uploads", "downloads", "calibration-case",
        "README.md", ".gitignore", "lost+found", ".DS_Store",
    }
)  # fmt: skip


@dataclass(frozen=True)
class OpenPlace:
    """A file or folder that other users of the machine may enter or read.

    Attributes:
        path: the place.
        mode: its permission bits.
        reason: why they are as they are, one clause.
        remedy: what closes it.
    """

    path: Path
    mode: int
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: other users of this machine may look into it: {self.reason}. {self.remedy}"


def keep_private() -> None:
    """Lets what this process and its children write be read by their own account alone (umask 077).

    Each entry point calls this before it writes anything.
    """
    os.umask(OTHERS)


def close_home(home: Path) -> OpenPlace | None:
    """Makes `home` with mode 0700, or takes all permissions of the group and of others from it.

    A folder that is not ours alone (it holds other things, or a sticky bit, as /tmp does) keeps its mode;
    then our own folders in it are closed.

    Returns:
        The home where it stays open, with the remedy; None where it is closed.

    Raises:
        StoreError: ``home.unwritable``.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            "home.unwritable",
            str(home),
            error.strerror or str(error),
            "Set PVM_HOME to a folder you may write",
        ) from error
    found = open_place(home)
    if found is None:
        return None
    if _ours_alone(home):
        _close(home)
        return open_place(home)
    for path in _content(home):
        _close(path)
    return OpenPlace(
        home,
        found.mode,
        "it holds other things than this platform's, so it was left as it is",
        f"Set PVM_HOME to a folder of its own, or close it: chmod 700 {home}",
    )


def open_place(path: Path) -> OpenPlace | None:
    """Says whether others may read or enter a file or folder; None where they may not, or it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    mode = stat.S_IMODE(found.st_mode)
    if not mode & OTHERS:
        return None
    wanted = "700" if stat.S_ISDIR(found.st_mode) else "600"
    if found.st_uid not in {os.geteuid(), 0}:
        reason = "it belongs to another account"
        return OpenPlace(path, mode, reason, f"As its owner: chmod {wanted} {path}")
    return OpenPlace(
        path,
        mode,
        f"its mode is {mode:04o}",
        f"chmod {wanted} {path}; where that changes nothing, its file system keeps no permissions "
        "(a Windows drive, a USB stick): move it to one that does",
    )


def _ours_alone(home: Path) -> bool:
    if home.stat().st_mode & stat.S_ISVTX:
        return False
    try:
        return all(entry.name in CONTENT for entry in home.iterdir())
    except OSError:
        return False


def _content(home: Path) -> Iterator[Path]:
    for name in sorted(CONTENT):
        path = home / name
        if path.is_dir() and not path.is_symlink():
            yield path


def _close(path: Path) -> None:
    try:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~OTHERS)
    except OSError:
        # Another account's, or a file system without modes: whoever looks again finds it open.
        return
