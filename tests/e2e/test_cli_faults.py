"""What goes wrong outside: Ctrl-C, a full disk, a database that goes away. Clear, and a rerun resumes."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import tiny
from harness import Pvm

#: The same faults at the level of assets are in the default suite (tests/pvm_assets/test_faults.py).
pytestmark = pytest.mark.long
INDUSTRY = "Sự cố"


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tiny.Tiny:
    """Enough work for something to go wrong in its middle."""
    return tiny.write_case(tmp_path_factory.mktemp("faults"), products=6, clips=8)


@pytest.fixture(scope="module")
def expected(shared_pvm: Pvm, case: tiny.Tiny) -> list[tuple[str, str, str]]:
    """The rows of an unbroken run."""
    assert shared_pvm.run(case.products, case.videos, INDUSTRY).returncode == 0
    return _rows(shared_pvm)


def _rows(pvm: Pvm) -> list[tuple[str, str, str]]:
    done = pvm("results", "--industry", INDUSTRY, "--min-score", "0", "--format", "csv")
    assert done.returncode == 0, done.stderr
    return [(r["product"], r["video"], r["score"]) for r in csv.DictReader(io.StringIO(done.stdout))]


def _start(pvm: Pvm, case: tiny.Tiny) -> subprocess.Popen[str]:
    command = pvm.command(
        "run", "--industry", INDUSTRY, "--products", case.products, "--videos", case.videos, "--job", "j1"
    )
    return subprocess.Popen(
        command, env=pvm.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _wait_for_line(process: subprocess.Popen[str], start: str) -> list[str]:
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith(start):
            return seen
    raise AssertionError(f"no line {start!r} in {seen}")


@pytest.mark.parametrize("stage", ["keyframes", "embeddings"])
def test_ctrl_c_cancels_cleanly_and_retry_finishes(
    pvm: Pvm, case: tiny.Tiny, expected: list[tuple[str, str, str]], stage: str
) -> None:
    process = _start(pvm, case)
    _wait_for_line(process, stage)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)

    assert process.returncode == 130, rest
    assert "cancelled" in rest
    assert "Traceback" not in rest
    assert not [p for p in psutil.Process().children(recursive=True) if "multiprocessing" in p.name()]
    assert "cancelled" in pvm("status").stdout

    again = pvm("retry", "j1")
    assert again.returncode == 0, again.stderr
    assert "reused" in again.stderr
    assert _rows(pvm) == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_fails_clearly_and_a_rerun_resumes(
    pvm: Pvm, case: tiny.Tiny, expected: list[tuple[str, str, str]], small_disk: Path
) -> None:
    media = str(small_disk / "media")
    given = ("--products", case.products, "--videos", case.videos, "--job", "j1")
    failed = pvm("run", "--industry", INDUSTRY, *given, PVM_MEDIA_URL=media)

    assert failed.returncode == 4, failed.stderr
    assert "[store.disk_full]" in failed.stderr
    assert "Traceback" not in failed.stderr

    (small_disk / "ballast").unlink()
    again = pvm("retry", "j1", PVM_MEDIA_URL=media)
    assert again.returncode == 0, again.stderr
    assert _rows(pvm) == expected


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB that is nearly full; without its file `ballast` there is room."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,mode=777", "tmpfs", place], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    (place / "ballast").write_bytes(b"\0" * (24 * 1024 * 1024 - 256 * 1024))
    yield place
    subprocess.run(["umount", "-l", place], check=False)


def test_a_database_that_goes_away_fails_the_run_clearly_and_a_rerun_resumes(
    pvm: Pvm, case: tiny.Tiny, expected: list[tuple[str, str, str]]
) -> None:
    from pvm_resources.postgres.server import EmbeddedServer

    server = EmbeddedServer(pvm.home)
    server.up(keep=True)
    process = _start(pvm, case)
    _wait_for_line(process, "keyframes")
    server.down()
    _, rest = process.communicate(timeout=90)

    assert process.returncode == 4, rest
    assert "Traceback" not in rest
    assert "[store." in rest or "[dagster." in rest

    time.sleep(0.5)
    server.up(keep=True)
    again = pvm("retry", "j1")
    assert again.returncode == 0, again.stderr
    assert _rows(pvm) == expected
