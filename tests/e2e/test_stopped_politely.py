"""Started with SIGINT ignored, as by a script in the background, every process still ends politely."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess

import psutil
import pytest
import tiny
from harness import Pvm

#: What each entry point does at its start is in the default suite (tests/pvm_resources/test_signals.py).
pytestmark = pytest.mark.long
#: Longer than any of them takes on a loaded machine, much shorter than for ever.
_LIMIT_S = 60.0


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _in_background(pvm: Pvm, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        pvm.command(*arguments),
        env=pvm.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_ignore_interrupts,
        start_new_session=True,
    )


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=10)


def test_a_run_ends_on_sigterm_with_its_workers(pvm: Pvm, tmp_path_factory: pytest.TempPathFactory) -> None:
    case = tiny.write_case(tmp_path_factory.mktemp("case"), products=4, clips=8)
    run = _in_background(
        pvm, "run", "-i", "giày", "--products", str(case.products), "--videos", str(case.videos)
    )
    assert run.stderr is not None
    told = next(line for line in run.stderr if line.startswith(("keyframes", "failed")))
    tree = psutil.Process(run.pid).children(recursive=True)
    try:
        assert told.startswith("keyframes")
        run.send_signal(signal.SIGTERM)
        _, rest = run.communicate(timeout=_LIMIT_S)
        assert "cancelled" in rest
        workers = [one for one in tree if "pvm_resources.process_pool" in " ".join(_command(one))]
        assert psutil.wait_procs(workers, timeout=_LIMIT_S)[1] == []
    finally:
        run.kill()
        run.wait(10)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def test_the_platform_and_its_children_end_on_sigterm(pvm: Pvm) -> None:
    ports = [_free_port(), _free_port()]
    up = _in_background(pvm, "up", "--port", str(ports[0]), "--api-port", str(ports[1]))
    told = up.communicate(timeout=2 * _LIMIT_S)
    assert up.returncode == 0, told
    started = [
        psutil.Process(json.loads((pvm.home / "run" / f"{name}.json").read_text())["pid"])
        for name in ("api", "webserver", "daemon", "code", "relay")
    ]
    tree = [*started, *(child for one in started for child in one.children(recursive=True))]
    try:
        assert [_command(one) for one in tree if _ignores(one.pid, signal.SIGTERM)] == []
        for one in started:
            os.killpg(one.pid, signal.SIGTERM)
        assert psutil.wait_procs(tree, timeout=_LIMIT_S)[1] == []
    finally:
        _kill([one for one in tree if one.is_running()])


def _ignores(pid: int, number: signal.Signals) -> bool:
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:  # noqa: PTH123
        mask = next(int(line.split()[1], 16) for line in status if line.startswith("SigIgn"))
    return bool(mask >> (number - 1) & 1)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
