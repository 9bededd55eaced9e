"""The API as a process of its own: what a caller can do to its event loop, its memory and its connections."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psutil


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def send(connection: socket.socket, data: bytes) -> None:
    """Sends, also where the other side has closed."""
    with contextlib.suppress(OSError):
        connection.sendall(data)


def received(connection: socket.socket) -> bytes:
    """What has come; nothing where the other side has closed."""
    try:
        return connection.recv(100_000)
    except ConnectionError:
        return b""


class Served:
    """The API over a database, started as `pvm up` starts it.

    Args:
        more: variables of its environment beside those it needs.
        files: open files it may have; None: as many as this process.
    """

    def __init__(
        self, database_url: str, home: Path, more: dict[str, str] | None = None, files: int | None = None
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._files = files
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PVM_", "DAGSTER_", "EBAY_"))}
        self._environment = clean | {
            "PVM_DATABASE_URL": database_url,
            "PVM_HOME": str(home),
            "PVM_API_PORT": str(self.port),
            "PVM_API_RATE": "100000",
            # A shop that is set up; no test asks it anything.
            "EBAY_CLIENT_ID": "id",
            "EBAY_CLIENT_SECRET": "secret",
            **(more or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it without waiting."""
        command = [sys.executable, "-m", "pvm_api.server"]
        self._process = subprocess.Popen(
            command, env=self._environment, stderr=subprocess.DEVNULL, preexec_fn=self._limit
        )

    def _limit(self) -> None:
        if self._files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self._files, self._files))

    def kill(self) -> None:
        """Ends it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                httpx.get(f"{self.url}/healthz")
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return self
        raise AssertionError("the API did not start")

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def peak(self) -> int:
        """Most memory that it has had, bytes, without its workers."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])

    @property
    def connections(self) -> int:
        """Connections that it holds."""
        assert self._process is not None
        listed = psutil.Process(self._process.pid).net_connections("tcp")
        return sum(one.status == psutil.CONN_ESTABLISHED and one.laddr.port == self.port for one in listed)


class Pulse:
    """Asks `/healthz` all the time, and remembers the longest it took to answer.

    Args:
        url: of the API.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.waits: list[float] = []

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, timeout=120) as client:
            while not self._over.is_set():
                start = time.monotonic()
                assert client.get("/healthz").status_code == 200
                self.waits.append(time.monotonic() - start)
                time.sleep(0.01)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self.waits:
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(150)
