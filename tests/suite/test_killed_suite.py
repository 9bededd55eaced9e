"""A test run that is killed leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import reaper

_ROOT = Path(__file__).resolve().parents[2]
_TEST = """
import os, subprocess, sys, time
from pathlib import Path
from tests import reaper

def test_starts_servers_and_hangs(server):
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
    subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    Path({told!r}).write_text(os.environ[reaper.VARIABLE])
    time.sleep(300)
"""
pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc")


@pytest.mark.parametrize("workers", [0, 1], ids=["one process", "a worker"])
def test_a_killed_run_leaves_no_process_behind(tmp_path: Path, workers: int) -> None:
    told = tmp_path / "told"
    test = tmp_path / "test_hanging.py"
    test.write_text(_TEST.format(told=str(told)))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    run = subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider"),
            *("-n", str(workers), "--basetemp", str(tmp_path / "base"), "--rootdir", str(tmp_path)),
            *("-c", "/dev/null", "--override-ini", f"pythonpath={_ROOT}", str(test)),
        ],
        cwd=_ROOT,
        env={**environment, "PYTHONPATH": str(_ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _until(lambda: told.exists() and told.read_text() != "", 240)
        mark = told.read_text()
        names = reaper.marked(mark).values()
        assert "postgres" in names
        assert len(set(names)) > 1
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait(30)

    _until(lambda: not reaper.marked(mark), 30)


def _until(reached: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
