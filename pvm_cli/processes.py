"""Background processes of one PVM_HOME: started detached, identified by pid and start time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pvm_core.errors import PvmError

_STOP_S = 15.0
_TAIL_LINES = 15


@dataclass(frozen=True)
class Service:
    """A started background process.

    Attributes:
        name: `webserver` or `daemon`.
        pid: its process id, which is also its process group.
        started: the process's start time, see `start_time`; guards against a reused pid.
        url: where it answers, "" where it answers nowhere.
    """

    name: str
    pid: int
    started: str
    url: str = ""

    @property
    def alive(self) -> bool:
        """True where the process runs and its pid was not reused."""
        return start_time(self.pid) == self.started != ""


class ServiceFolder:
    """The pid files under ``<PVM_HOME>/run`` and the logs under ``<PVM_HOME>/logs``."""

    def __init__(self, home: Path) -> None:
        self._run = home / "run"
        self._logs = home / "logs"

    def log_path(self, name: str) -> Path:
        """Where the process writes its output."""
        return self._logs / f"{name}.log"

    def find(self, name: str) -> Service | None:
        """The live process of that name; a stale or unreadable pid file is removed."""
        path = self._pid_file(name)
        try:
            service = Service(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            path.unlink(missing_ok=True)
            return None
        if service.alive:
            return service
        path.unlink(missing_ok=True)
        return None

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str], url: str = "") -> Service:
        """Starts `command` in a session of its own, its output appended to its log.

        Raises:
            PvmError: `service.start`, the program cannot be executed.
        """
        self._run.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        try:
            with self.log_path(name).open("ab") as log:
                process = subprocess.Popen(
                    command,
                    env=dict(env),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            raise PvmError(
                "service.start", command[0], f"cannot be started ({error.strerror})", "run make setup again"
            ) from error
        service = Service(name, process.pid, start_time(process.pid), url)
        path = self._pid_file(name)
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps(asdict(service)), encoding="utf-8")
        scratch.replace(path)
        return service

    def stop(self, name: str) -> bool:
        """Stops the process and its children; False where none was running."""
        service = self.find(name)
        if service is None:
            return False
        _signal_group(service.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        # The whole group is waited for: code servers and run workers end after their parent.
        while _group_lives(service.pid) and time.monotonic() < deadline:
            _reap(service.pid)
            time.sleep(0.05)
        _signal_group(service.pid, signal.SIGKILL)
        _reap(service.pid)
        self._pid_file(name).unlink(missing_ok=True)
        return True

    def tail(self, name: str) -> str:
        """The last lines of the process's log."""
        try:
            text = self.log_path(name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-_TAIL_LINES:])

    def _pid_file(self, name: str) -> Path:
        return self._run / f"{name}.json"


def start_time(pid: int) -> str:
    """When the process started, in clock ticks since the machine did; "" where no such process runs (or it
    is a zombie)."""
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return ""
        # Not the time of day: a clock that is set would make every process another one.
        return str(round((process.create_time() - psutil.boot_time()) * os.sysconf("SC_CLK_TCK")))
    except psutil.Error:
        return ""


def port_is_free(host: str, port: int) -> bool:
    """True where a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _group_lives(group: int) -> bool:
    import psutil

    return any(start_time(pid) for pid in psutil.pids() if _group_of(pid) == group)


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -1


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _reap(pid: int) -> None:
    # A process started by this very command is its child and stays a zombie until waited for.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
