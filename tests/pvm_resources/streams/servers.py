"""Redis and NATS of the tests' own: free ports, a folder of their own, nothing of the system's."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests import reaper
from tests.pvm_resources.broker import free_port

_READY_S = 60.0
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


class Server:
    """One server; `start` and `stop` as often as wanted, what it confirmed stays."""

    program = ""

    def __init__(self, folder: Path) -> None:
        found = shutil.which(self.program, path=_PATH)
        if found is None:
            pytest.skip(f"no {self.program} on this machine (Debian, as root: bash tools/servers.sh)")
        self._path = found
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def arguments(self) -> list[str]:
        """Of its command line."""
        raise NotImplementedError

    def start(self) -> None:
        """Starts it and waits until it listens."""
        mark = {name: value for name, value in os.environ.items() if name == reaper.VARIABLE}
        with (self.folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [self._path, *self.arguments()], env={**mark, "PATH": _PATH}, stdout=out, stderr=out,
                cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if self.listens():
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "out").read_text(errors="replace")[-500:])

    def listens(self) -> bool:
        """Whether it takes connections."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends it, at once by default."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None


class RedisServer(Server):
    """Redis that writes each change to its file before it answers."""

    program = "redis-server"

    def arguments(self) -> list[str]:
        """Of its command line."""
        return [
            "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "",
            "--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no",
        ]  # fmt: skip


class NatsServer(Server):
    """NATS with JetStream in files."""

    program = "nats-server"

    def arguments(self) -> list[str]:
        """Of its command line."""
        return ["-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder / "js")]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://127.0.0.1:{self.port}"
