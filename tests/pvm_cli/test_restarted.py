"""A program that is started again whenever it ends, until who starts it is asked to end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

_PROGRAM = """
import os, sys, time
with open(sys.argv[1], "a") as file:
    print(os.getpid(), file=file)
time.sleep(60)
"""


@pytest.fixture
def starts(tmp_path: Path) -> Callable[[], list[int]]:
    """Process ids of the program, one a start."""
    path = tmp_path / "starts"
    path.touch()
    return lambda: [int(line) for line in path.read_text().splitlines()]


@pytest.fixture
def keeper(tmp_path: Path, starts: Callable[[], list[int]]) -> Iterator[subprocess.Popen[bytes]]:
    """What starts it."""
    program = [sys.executable, "-c", _PROGRAM, str(tmp_path / "starts")]
    made = subprocess.Popen([sys.executable, "-m", "pvm_cli.restarted", *program], stderr=subprocess.PIPE)
    _until(lambda: len(starts()) == 1)
    yield made
    made.kill()
    made.wait()
    for pid in starts():
        if psutil.pid_exists(pid):
            psutil.Process(pid).kill()


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_is_started_again_and_ends_with_who_starts_it(
    keeper: subprocess.Popen[bytes], starts: Callable[[], list[int]]
) -> None:
    (first,) = starts()
    psutil.Process(first).kill()
    _until(lambda: len(starts()) == 2)
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(30) == 0
    assert not psutil.pid_exists(starts()[1])
    assert keeper.stderr is not None
    assert keeper.stderr.read().decode().count("started again") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a child that its parent was killed")
def test_it_does_not_outlive_who_starts_it(
    keeper: subprocess.Popen[bytes], starts: Callable[[], list[int]]
) -> None:
    keeper.kill()
    _until(lambda: not psutil.pid_exists(starts()[0]))
