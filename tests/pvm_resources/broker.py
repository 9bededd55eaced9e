"""A RabbitMQ of the tests' own: free ports, a folder and a node name of its own, nothing of the system's."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pika
import pytest

from tests import reaper

#: Five seconds on an idle machine; the suite shares its cores.
_READY_S = 120.0
_BIN = next((p for p in (Path("/usr/lib/rabbitmq/bin"),) if (p / "rabbitmq-server").exists()), None)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """One node; `start` and `stop` as often as wanted, its queues stay."""

    def __init__(self, folder: Path) -> None:
        if _BIN is None or shutil.which("erl") is None:
            pytest.skip("no RabbitMQ on this machine (Debian, as root: bash tools/servers.sh)")
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._name = f"pvm{secrets.token_hex(4)}@localhost"
        self.port, self._web, self._dist, self._epmd = (free_port() for _ in range(4))
        (folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self._web}\n"
            "log.console = false\nvm_memory_high_watermark.absolute = 512MB\n"
            "disk_free_limit.absolute = 10MB\ncollect_statistics_interval = 500\n"
        )

    @property
    def url(self) -> str:
        """For AMQP."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def management(self) -> str:
        """For the HTTP API."""
        return f"http://guest:guest@127.0.0.1:{self._web}"

    @property
    def _environment(self) -> dict[str, str]:
        at = str(self._folder)
        return {
            **{name: value for name, value in os.environ.items() if name == reaper.VARIABLE},
            "PATH": os.environ["PATH"], "HOME": at, "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": self._name, "RABBITMQ_MNESIA_BASE": f"{at}/mnesia",
            "RABBITMQ_LOG_BASE": f"{at}/log", "RABBITMQ_PID_FILE": f"{at}/pid",
            "RABBITMQ_CONFIG_FILE": f"{at}/rabbitmq.conf", "RABBITMQ_DIST_PORT": str(self._dist),
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{at}/enabled_plugins", "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1", "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }  # fmt: skip

    def start(self) -> None:
        """Starts the node and waits until it answers; skips the test where it does not come up."""
        assert _BIN is not None
        with (self._folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [_BIN / "rabbitmq-server"], env=self._environment, stdout=out, stderr=out,
                cwd=self._folder, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                pika.BlockingConnection(pika.URLParameters(self.url)).close()
                httpx.get(f"{self.management}/api/overview", timeout=5).raise_for_status()
            except (pika.exceptions.AMQPError, OSError, httpx.HTTPError):
                time.sleep(0.2)
            else:
                return
        tail = (self._folder / "out").read_text(errors="replace")[-500:]
        self.stop()
        pytest.skip(f"RabbitMQ did not come up here: {tail}")

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends the node, at once by default: what it confirmed it must have kept."""
        if self._process is None:
            return
        os.killpg(self._process.pid, number)
        self._process.wait()
        self._process = None

    def close(self) -> None:
        """Ends the node and the name server that came with it."""
        self.stop()
        epmd = shutil.which("epmd")
        if epmd is None:
            return
        for _ in range(50):
            # Refused for as long as it has not noticed that the node is gone.
            done = subprocess.run(
                [epmd, "-port", str(self._epmd), "-kill"], env=self._environment,
                check=False, capture_output=True, text=True,
            )  # fmt: skip
            if "not allowed" not in done.stdout + done.stderr:
                return
            time.sleep(0.1)
