"""CPU seconds of a process and all that came of it, PostgreSQL included; Linux only."""

from __future__ import annotations

import ctypes
import os
import sys

import psutil

#: prctl(2): orphans below this process become its children, so that a server that detached is still counted.
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Makes this process the parent of whatever below it loses its own."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def tree_cpu(pid: int | None = None) -> float:
    """User and system seconds of a process and its descendants, those waited for included."""
    total = 0.0
    try:
        parent = psutil.Process(pid or os.getpid())
        for one in (parent, *parent.children(recursive=True)):
            try:
                total += sum(one.cpu_times()[:4])
            except psutil.NoSuchProcess:
                continue
    except psutil.NoSuchProcess:
        return total
    return total


def await_orphans() -> None:
    """Waits for every child, adopted ones too: what they took then counts as waited for."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return
