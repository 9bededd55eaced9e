"""Starts a program again whenever it ends: ``python -m pvm_cli.restarted PROGRAM ARGUMENT...``.

It imports nothing of the project: it lives as long as the platform and should weigh nothing.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Final

#: Seconds until the first start anew; doubled by each that follows, up to the longest. A program that lived
#: longer than that begins with the first again.
_FIRST_S: Final = 1.0
_LONGEST_S: Final = 60.0
#: Seconds between two looks.
_LOOK_S: Final = 0.5
#: Seconds that a program has to end by itself where the whole process group was asked to.
_OWN_END_S: Final = 2.0
#: PR_SET_PDEATHSIG of Linux's prctl(2).
_PARENT_DIED: Final = 1


class _Stop:
    """Hears SIGTERM and SIGINT."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True

    def asked(self) -> bool:
        """Whether one of them came."""
        return self._asked


def keep(command: Sequence[str]) -> None:
    """Runs `command` again and again until SIGTERM or SIGINT, which end it too."""
    stop = _Stop()
    pause = _FIRST_S
    while not stop.asked():
        began = time.monotonic()
        child = subprocess.Popen(command, preexec_fn=_end_with_parent)
        while child.poll() is None and not stop.asked():
            time.sleep(_LOOK_S)
        if stop.asked():
            _end(child)
            return
        if time.monotonic() - began > _LONGEST_S:
            pause = _FIRST_S
        told = f"it ended ({child.returncode}) and is started again in {pause:.0f} s"
        print(told, file=sys.stderr, flush=True)
        again = time.monotonic() + pause
        while time.monotonic() < again and not stop.asked():
            time.sleep(_LOOK_S)
        pause = min(2 * pause, _LONGEST_S)


def _end_with_parent() -> None:
    """In the child: where its parent is killed, it is asked to end as well (Linux; elsewhere it stays)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DIED, signal.SIGTERM)


def _end(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(_OWN_END_S)
    except subprocess.TimeoutExpired:
        child.terminate()
        child.wait()


if __name__ == "__main__":
    keep(sys.argv[1:])
