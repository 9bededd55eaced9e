"""Videos of a folder and of the folders in it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG
from typing import Final

from pvm_core.errors import InputError, MediaError, Problem
from pvm_core.file_type import ANIMATION_SUFFIXES, VIDEO_SUFFIXES
from pvm_jobs.source_policy import SourcePolicy
from pvm_resources.sources.base import Collected, Query, SourceStatus, VideoRecord
from pvm_resources.sources.confined import Confinement, outside

#: The stage these problems belong to.
STAGE: Final = "videos"
_PASSED_OVER: Final = "video.passed_over"
_KINDS: Final = ", ".join(sorted(suffix[1:] for suffix in VIDEO_SUFFIXES)) + ", animated gif and webp"


class FolderVideos:
    """A folder (or one video file) as a video source.

    A video's given name is its file name without suffix; where two clash, all of these carry their path
    relative to the folder, without suffix; where that clashes too, with it. Hidden files and folders are
    passed over. Links to files are followed, links to folders are too, each folder being entered once; a link
    that leads out of the folder (or out of the root it lies in) is refused.

    Args:
        path: the folder, or one video file.
        confinement: which files it may lead to.
    """

    name = "folder"
    policy = SourcePolicy()

    def __init__(self, path: Path, confinement: Confinement | None = None) -> None:
        self._path = path
        self._bounds = (confinement or Confinement()).around(path)

    def collect(self, query: Query) -> Collected[VideoRecord]:
        """All videos of the folder, sorted by path; what the query asks is for other sources.

        Raises:
            InputError: ``videos.missing``, ``videos.unreadable``, ``videos.none``; ``source.outside``.
        """
        problems: list[Problem] = []
        if self._bounds.rooted and not self._bounds.admits(Path(os.path.realpath(self._path))):
            raise outside(self._path)
        found: list[tuple[str, Path, os.stat_result]] = []
        for path in sorted(self._files(problems), key=lambda p: p.as_posix()):
            try:
                stat = path.stat()
                if not S_ISREG(stat.st_mode):
                    # Opening a pipe would wait for a writer for ever.
                    raise OSError(0, "it is not a regular file")
                if not self._bounds.admits(real := Path(os.path.realpath(path))):
                    problems.append(self._leads_out(path))
                    continue
                if not _is_text(real):
                    # Every process of the job opens it by its path, which no database could hold.
                    problems.append(_nameless(self._relative(path)))
                    continue
                with path.open("rb"):
                    found.append((self._relative(path), real, stat))
            except OSError as error:
                problems.append(_unreadable(self._relative(path), error))
        if not found:
            raise self._none(problems)
        names = _given_names([relative for relative, _, _ in found])
        records = tuple(
            VideoRecord(
                source=self.name,
                platform="file",
                external_id=relative,
                given_name=name,
                title=name,
                path=path,
                size=stat.st_size,
                modified_ns=stat.st_mtime_ns,
            )
            for name, (relative, path, stat) in zip(names, found, strict=True)
        )
        return Collected(self._status(problems), records, tuple(problems))

    def fetch(self, record: VideoRecord, folder: Path) -> Path:
        """The file itself.

        Raises:
            MediaError: ``video.missing``, it was deleted meanwhile.
        """
        if record.path is None or not record.path.is_file():
            raise MediaError("video.missing", record.given_name, "the file is no longer there", "Put it back")
        return record.path

    def details(self, record: VideoRecord) -> VideoRecord:
        """The record itself: there is nothing to add."""
        return record

    def cancel(self) -> None:
        """Nothing to end: files are not transferred."""

    def _files(self, problems: list[Problem]) -> Iterator[Path]:
        if self._path.is_file():
            yield self._path
            return
        if not self._path.exists():
            raise InputError("videos.missing", str(self._path), "there is no such folder", "Check the name")
        entered: set[tuple[int, int]] = set()
        waiting = [self._path]
        others: dict[str, list[Path]] = {}
        while waiting:
            folder = waiting.pop()
            try:
                stat = folder.stat()
                if (stat.st_dev, stat.st_ino) in entered:
                    continue
                entered.add((stat.st_dev, stat.st_ino))
                # Real folders before links, so that a video keeps its own path.
                entries = sorted(folder.iterdir(), key=lambda p: (p.is_symlink(), p.name), reverse=True)
            except OSError as error:
                if folder == self._path:
                    raise self._closed(error) from error
                problems.append(_unreadable(self._relative(folder), error))
                continue
            visible = [entry for entry in entries if not entry.name.startswith(".")]
            for entry in visible:
                if entry.is_dir():
                    continue
                if _is_clip(entry):
                    yield entry
                else:
                    others.setdefault(entry.suffix.lower(), []).append(entry)
            waiting += [entry for entry in visible if entry.is_dir() and self._may_enter(entry, problems)]

        problems += [self._passed_over(kind, paths) for kind, paths in sorted(others.items())]

    def _passed_over(self, kind: str, paths: list[Path]) -> Problem:
        """One problem for all files of a type that are no videos: nothing is skipped in silence."""
        first = min(paths, key=lambda path: path.as_posix())
        named = f"of the type {kind}" if kind else "without a type in their names"
        if len(paths) == 1:
            reason = (
                "it is no video by its name" if kind not in ANIMATION_SUFFIXES else "it is a still picture"
            )
        elif kind in ANIMATION_SUFFIXES:
            reason = f"{len(paths)} files {named}, this one the first, are still pictures"
        else:
            reason = f"{len(paths)} files {named}, this one the first, are no videos by their names"
        remedy = f"Videos end in {_KINDS}"
        return Problem.of(STAGE, MediaError(_PASSED_OVER, self._relative(first), reason, remedy))

    def _may_enter(self, folder: Path, problems: list[Problem]) -> bool:
        if not folder.is_symlink() or self._bounds.admits(Path(os.path.realpath(folder))):
            return True
        problems.append(self._leads_out(folder))
        return False

    def _leads_out(self, path: Path) -> Problem:
        reason = "it is a link that leads out of the folder"
        remedy = "Put the file or folder itself there, or run it with --allow-outside"
        return Problem.of(STAGE, MediaError("video.outside", self._relative(path), reason, remedy))

    def _relative(self, path: Path) -> str:
        relative = Path(path.name) if path == self._path else path.relative_to(self._path)
        # A name that is no valid UTF-8 keeps its bytes, written out, or no database could hold it.
        return os.fsencode(relative.as_posix()).decode("utf-8", "backslashreplace")

    def _closed(self, error: OSError) -> InputError:
        reason = f"it cannot be read ({error.strerror or error})"
        return InputError("videos.unreadable", str(self._path), reason, "Check its permissions")

    def _none(self, problems: list[Problem]) -> InputError:
        reason = f"it holds no video ({_KINDS})"
        failed = [problem for problem in problems if problem.code != _PASSED_OVER]
        if failed:
            reason = f"none of its videos can be read; the first: {failed[0].item}: {failed[0].message}"
        return InputError("videos.none", str(self._path), reason, "Name a folder that holds video files")

    def _status(self, problems: list[Problem]) -> SourceStatus:
        failed = [problem for problem in problems if problem.code != _PASSED_OVER]
        if not failed:
            return SourceStatus(self.name, "ok")
        reason = f"{len(failed)} files or folders cannot be read"
        return SourceStatus(self.name, "partial", reason, "See the job's problems")


def _is_clip(path: Path) -> bool:
    kind = path.suffix.lower()
    if kind in ANIMATION_SUFFIXES and path.is_file():
        # The decoder is slow to load, and few folders hold animations.
        from pvm_core.video import is_animation

        return is_animation(path)
    return kind in VIDEO_SUFFIXES


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _nameless(item: str) -> Problem:
    reason = "its name, or a folder's on the way, holds bytes that are no UTF-8 text"
    return Problem.of(STAGE, MediaError("video.unreadable", item, reason, "Rename it"))


def _unreadable(item: str, error: OSError) -> Problem:
    if isinstance(error, FileNotFoundError):
        missing = MediaError(
            "video.missing", item, "the link leads nowhere", "Restore the file or remove the link"
        )
        return Problem.of(STAGE, missing)
    reason = f"it cannot be read ({error.strerror or error})"
    return Problem.of(STAGE, MediaError("video.unreadable", item, reason, "Check its permissions"))


def _given_names(paths: list[str]) -> list[str]:
    """Unique names for files given by their relative paths."""
    short = [Path(path).stem for path in paths]
    longer = [Path(path).with_suffix("").as_posix() for path in paths]
    names = _where_unique(short, longer)
    while len(set(names)) < len(names):
        names = _where_unique(names, paths)
    return names


def _where_unique(names: list[str], otherwise: list[str]) -> list[str]:
    counts = Counter(names)
    return [n if counts[n] == 1 else o for n, o in zip(names, otherwise, strict=True)]
