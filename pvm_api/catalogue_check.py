"""Checks an uploaded catalogue or video in a process of its own, which may take only so much.

A parser that is stalled, or that a file makes large, then costs that upload and not the service: no parser
shares the event loop's interpreter.
"""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import psutil

from pvm_core.errors import InputError, MediaError
from pvm_resources.process_pool import Done, WorkPool

T = TypeVar("T")
Item = TypeVar("Item")

_MEGABYTE: Final = 1_000_000
#: Bytes of a file after which a worker is used again; what a larger one took, Python keeps.
_SMALL: Final = 1_000_000
#: Errors after which its worker is of no further use.
_SPENT: Final = frozenset({"worker.timeout", "worker.died", "upload.heavy"})
#: A file, and the columns that its caller named.
_Checked = tuple[Path, Mapping[str, str] | None]
_REMEDY: Final = "Split it, or check it with another program"


@dataclass(frozen=True)
class CheckLimits:
    """What the check of one catalogue may take.

    Attributes:
        seconds: of time, imports not counted.
        megabytes: of memory beside the interpreter's own.
    """

    seconds: float
    megabytes: int = 1_000


@dataclass(frozen=True)
class Counted:
    """What a catalogue holds: rows that can be used, and rows that cannot."""

    products: int
    problems: int


@dataclass(frozen=True)
class _Cap:
    """Limits the memory of a worker; picklable, so that it can be its setup."""

    megabytes: int

    def __call__(self) -> None:
        # Imports first: what libraries reserve is no measure of the file.
        from pvm_resources.sources.catalogue import file_catalogue, schema

        assert file_catalogue
        schema.prepare()
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        if soft == hard:
            most = psutil.Process().memory_info().vms + self.megabytes * _MEGABYTE
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))


class CatalogueCheck:
    """Checks uploads, each in a worker process; workers that are free are used again.

    Args:
        limits: of one check.
    """

    def __init__(self, limits: CheckLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._free: list[WorkPool] = []
        self._closed = False

    def count(self, path: Path, columns: Mapping[str, str] | None = None) -> Counted:
        """What the catalogue holds. Reads no picture. From any thread, as many at once as call it.

        Args:
            columns: columns that the caller named, by field.

        Raises:
            InputError: ``table.*``, ``catalogue.*``; ``upload.slow``, ``upload.heavy``: it takes too much.
        """
        return self._done(_count, (path, columns), path, "the catalogue")

    def decode(self, path: Path) -> None:
        """Decodes a video to its end.

        Raises:
            InputError: ``upload.video``: it is none, or breaks off; ``upload.slow``, ``upload.heavy``.
        """
        try:
            self._done(_decode, path, path, "the video")
        except MediaError as error:
            raise InputError("upload.video", "the video", error.reason, "Send a whole video file") from error

    def _done(self, work: Callable[[object, Item], T], item: Item, path: Path, subject: str) -> T:
        with self._lock:
            pool = self._free.pop() if self._free else WorkPool(1)
        try:
            (done,) = pool.map(
                work, [item], setup=_Cap(self._limits.megabytes), timeout_s=self._limits.seconds
            )
        except BaseException:
            pool.close()
            raise
        code = done.error.code if done.error is not None else ""
        spent = code in _SPENT or path.stat().st_size > _SMALL
        self._give_back(pool, again=not spent)
        return self._unwrapped(done, subject)

    def close(self) -> None:
        """Ends the workers that are free, and each other one when its check ends."""
        with self._lock:
            self._closed, free, self._free = True, self._free, []
        for pool in free:
            pool.close()

    def _give_back(self, pool: WorkPool, *, again: bool) -> None:
        with self._lock:
            again = again and not self._closed
            if again:
                self._free.append(pool)
        if not again:
            pool.close()

    def _unwrapped(self, done: Done[Item, T], subject: str) -> T:
        code = done.error.code if done.error is not None else ""
        if code == "worker.timeout":
            reason = f"checking it takes longer than {self._limits.seconds:g} s"
            raise InputError("upload.slow", subject, reason, _REMEDY) from done.error
        if code == "worker.died":
            raise _too_heavy(subject) from done.error
        return done.unwrap()


def _count(_: object, checked: _Checked) -> Counted:
    from pvm_resources.sources.base import Query
    from pvm_resources.sources.catalogue.file_catalogue import FileCatalogue

    path, columns = checked
    try:
        found = FileCatalogue(path, namespace="", columns=columns).collect(Query(""))
    except MemoryError as error:
        raise _too_heavy("the catalogue") from error
    return Counted(len(found.records), len(found.problems))


def _decode(_: object, path: Path) -> None:
    from pvm_resources.sources.ytdlp.places import check_whole

    try:
        check_whole(path)
    except MemoryError as error:
        raise _too_heavy("the video") from error


def _too_heavy(subject: str) -> InputError:
    return InputError("upload.heavy", subject, "checking it takes more memory than allowed", _REMEDY)
