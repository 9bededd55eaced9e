"""Ends what a test run leaves behind, however the run ends.

`watch` marks the environment of this process, which its children inherit, and starts this file as a process
in a session of its own. When the test run's end of the pipe closes, after the last test or because the run
was killed, that process ends every process that carries the mark: servers that became daemons as well.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

VARIABLE = "TEST_RUN_MARK"
#: Given to processes that are ending by themselves, and after a polite signal to the others, seconds.
_GRACE_S = 3.0


def watch() -> Callable[[], None]:
    """Starts the watching process; the function that ends the watch and waits until nothing is left."""
    mark = f"{os.getpid()}-{time.time_ns()}"
    os.environ[VARIABLE] = mark
    process = subprocess.Popen(
        [sys.executable, "-S", "-E", __file__, mark],
        stdin=subprocess.PIPE,
        start_new_session=True,
        env={"PATH": os.environ.get("PATH", "")},
    )

    def end() -> None:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)

    return end


def marked(mark: str) -> dict[int, str]:
    """Live processes that carry the mark, by id with their command's name."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{VARIABLE}={mark}".encode() not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            if rest.split()[0] not in "ZX":
                found[int(folder.name)] = name
    return found


def _end_all(mark: str) -> None:
    deadline = time.monotonic() + _GRACE_S
    for pid, name in marked(mark).items():
        # PostgreSQL waits for its clients on SIGTERM and cuts them off on SIGINT.
        _signal(pid, signal.SIGINT if name == "postgres" else signal.SIGTERM)
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    while left := marked(mark):
        for pid in left:
            _signal(pid, signal.SIGKILL)
        time.sleep(0.05)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    _end_all(sys.argv[1])
