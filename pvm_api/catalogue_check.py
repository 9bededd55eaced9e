"""Counts the products of an uploaded catalogue in a process of its own, which may take only so much.

A parser that is stalled, or that a file makes large, then costs that upload and not the service: no parser
shares the event loop's interpreter.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from pvm_core.errors import InputError
from pvm_resources.process_pool import WorkPool

_MEGABYTE: Final = 1_000_000
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
        from pvm_resources.sources.catalogue import file_catalogue

        assert file_catalogue
        most = psutil.Process().memory_info().vms + self.megabytes * _MEGABYTE
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def count(path: Path, limits: CheckLimits) -> Counted:
    """What the catalogue holds. Reads no picture.

    Raises:
        InputError: ``table.*``, ``catalogue.*``; ``upload.slow``, ``upload.heavy``: it takes too much.
    """
    with WorkPool(1) as pool:
        (done,) = pool.map(_count, [path], setup=_Cap(limits.megabytes), timeout_s=limits.seconds)
    code = done.error.code if done.error is not None else ""
    if code == "worker.timeout":
        reason = f"checking it takes longer than {limits.seconds:g} s"
        raise InputError("upload.slow", "the catalogue", reason, _REMEDY) from done.error
    if code == "worker.died":
        raise _too_heavy() from done.error
    return done.unwrap()


def _count(_: object, path: Path) -> Counted:
    from pvm_resources.sources.base import Query
    from pvm_resources.sources.catalogue.file_catalogue import FileCatalogue

    try:
        found = FileCatalogue(path, namespace="").collect(Query(""))
    except MemoryError as error:
        raise _too_heavy() from error
    return Counted(len(found.records), len(found.problems))


def _too_heavy() -> InputError:
    return InputError("upload.heavy", "the catalogue", "checking it takes more memory than allowed", _REMEDY)
