"""Background processes: remembered across commands, stopped with their children, never confused."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pvm_cli.processes import ServiceFolder, port_is_free, start_time
from pvm_core.errors import PvmError

_SLEEPER = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"]
_STUBBORN_CHILD = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("ready", flush=True)
time.sleep(60)
"""


def _eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_a_started_process_is_found_by_another_folder_object_and_stopped(tmp_path: Path) -> None:
    service = ServiceFolder(tmp_path).start("webserver", _SLEEPER, os.environ, url="http://127.0.0.1:1")
    again = ServiceFolder(tmp_path)

    assert again.find("webserver") == service
    assert service.alive
    assert again.stop("webserver")
    assert not service.alive
    assert again.find("webserver") is None
    assert not again.stop("webserver")


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path)
    folder.start("daemon", _SLEEPER, os.environ)
    try:
        assert _eventually(lambda: "ready" in folder.tail("daemon"))
    finally:
        folder.stop("daemon")


def test_children_are_stopped_with_a_parent_that_ignores_the_polite_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pvm_cli.processes._STOP_S", 0.5)
    folder = ServiceFolder(tmp_path)
    service = folder.start("daemon", [sys.executable, "-c", _STUBBORN_CHILD], os.environ)
    assert _eventually(lambda: "ready" in folder.tail("daemon"))

    assert folder.stop("daemon")

    assert _eventually(lambda: not _group_members(service.pid))


def _group_members(group: int) -> list[str]:
    members = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[2] == str(group) and fields[0] not in "ZX":
            members.append(path.parent.name)
    return members


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="torn"),
        pytest.param("[]", id="not an object"),
        pytest.param('{"name": "webserver"}', id="fields missing"),
        pytest.param(
            json.dumps({"name": "webserver", "pid": os.getpid(), "started": "1", "url": ""}),
            id="pid used anew",
        ),
        pytest.param(
            json.dumps({"name": "webserver", "pid": 2**22 + 1, "started": "1", "url": ""}), id="pid gone"
        ),
    ],
)
def test_a_stale_pid_file_is_no_service_and_is_removed(tmp_path: Path, content: str) -> None:
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "webserver.json"
    path.write_text(content)

    folder = ServiceFolder(tmp_path)

    assert folder.find("webserver") is None
    assert not path.exists()
    assert not folder.stop("webserver")


def test_a_program_that_cannot_start_is_named(tmp_path: Path) -> None:
    with pytest.raises(PvmError, match=r"no-such-program.*service\.start"):
        ServiceFolder(tmp_path).start("webserver", [str(tmp_path / "no-such-program")], os.environ)


def test_start_time_tells_a_live_process_from_a_dead_one() -> None:
    assert start_time(os.getpid())
    assert start_time(2**22 + 1) == ""


def test_a_listening_port_is_not_free() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert not port_is_free("127.0.0.1", port)
    assert port_is_free("127.0.0.1", port)
