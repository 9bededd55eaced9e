"""Files of this machine that a catalogue or a folder leads to, kept inside the folders it may lead to.

A path is resolved once, links followed, and judged by where it ends; what is read later is opened part by
part without following any link, so that a file or folder exchanged for a link in between is refused, not
read. A second name of a file (a hard link) cannot be told from the first: whoever makes one must be able to
write the folder and, where ``fs.protected_hardlinks`` is on, as Linux has it, to read and write the file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import IO, Final

from pvm_core.errors import InputError
from pvm_resources.settings import Settings

#: Folders are opened to be walked through, not to be listed: that needs the right to enter them only.
_WALK: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Opening a pipe must not wait for a writer.
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Bounds:
    """Folders that a source may lead to; None = anywhere.

    Attributes:
        folders: resolved.
        rooted: they are roots that requests from outside may name.
    """

    folders: tuple[Path, ...] | None
    rooted: bool = False

    def admits(self, resolved: Path) -> bool:
        """Whether a path, its links followed, lies inside."""
        return self.folders is None or any(resolved.is_relative_to(folder) for folder in self.folders)

    def opened(self, path: Path) -> IO[bytes]:
        """The file at a path that a request names; links are followed inside the bounds.

        Raises:
            InputError: ``source.outside``: a link leads out of the roots.
            OSError: it cannot be opened.
        """
        if not self.rooted:
            return path.open("rb")
        resolved = Path(os.path.realpath(path))
        if not self.admits(resolved):
            raise outside(path)
        return opened_unlinked(resolved)


@dataclass(frozen=True)
class Confinement:
    """What bounds the sources of one job.

    Attributes:
        roots: folders whose files requests from outside may name.
        anywhere: the user of the command line allows files outside a source's own folder.
    """

    roots: tuple[Path, ...] = ()
    anywhere: bool = False

    @classmethod
    def of(cls, settings: Settings, *, anywhere: bool = False) -> Confinement:
        """As this machine's settings have it."""
        return cls((settings.home / "uploads", *source_roots(settings)), anywhere)

    def around(self, folder: Path) -> Bounds:
        """The bounds of a source in `folder`: the roots it lies in, or else the folder itself.

        A folder inside a root that was exchanged for a link out of it lies outside its own bounds.
        """
        if self.anywhere:
            return Bounds(None)
        given = Path(os.path.abspath(folder))  # noqa: PTH100 - links are not followed here
        resolved = [Path(os.path.realpath(root)) for root in self.roots]
        inside = [real for root, real in zip(self.roots, resolved, strict=True)
                  if given.is_relative_to(root) or given.is_relative_to(real)]  # fmt: skip
        return Bounds(tuple(inside), True) if inside else Bounds((Path(os.path.realpath(folder)),))


def outside(path: Path) -> InputError:
    """The error of a source that a link leads out of the roots."""
    reason = "a link leads out of the folders that requests may name"
    return InputError("source.outside", path.name, reason, "Name the file or folder at its real place")


def source_roots(settings: Settings) -> tuple[Path, ...]:
    """The folders that ``PVM_API_SOURCE_ROOTS`` names."""
    listed = (part.strip() for part in settings.api_source_roots.split(os.pathsep))
    return tuple(Path(part).expanduser() for part in listed if part)


def open_unlinked(path: Path) -> int:
    """A descriptor of the file at an absolute path of which no part is a link; the caller closes it.

    Raises:
        OSError: it cannot be opened; ``ELOOP`` or ``ENOTDIR`` where a part of the path is a link.
    """
    parts = path.parts[1:]
    at = os.open(path.anchor, _WALK)
    try:
        for part in parts[:-1]:
            deeper = os.open(part, _WALK, dir_fd=at)
            os.close(at)
            at = deeper
        return os.open(parts[-1], _READ, dir_fd=at)
    finally:
        os.close(at)


def led_away(error: OSError) -> bool:
    """Whether an error of `open_unlinked` says that a part of the path is a link."""
    return error.errno in (errno.ELOOP, errno.ENOTDIR)


def opened_unlinked(path: Path) -> IO[bytes]:
    """The file at an absolute path of which no part is a link, to be read; the caller closes it.

    Raises:
        OSError: as `open_unlinked`; `IsADirectoryError`: it is no regular file.
    """
    descriptor = open_unlinked(path)
    try:
        if not S_ISREG(os.fstat(descriptor).st_mode):
            raise IsADirectoryError(errno.EISDIR, "it is no regular file")
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


@contextmanager
def held(path: Path) -> Iterator[Path]:
    """A path that stays the file that is at `path` now, for libraries that open files by their name.

    Raises:
        OSError: as `open_unlinked`.
    """
    descriptor = open_unlinked(path)
    try:
        shown = Path(f"/proc/self/fd/{descriptor}")
        yield shown if shown.exists() else path
    finally:
        os.close(descriptor)
