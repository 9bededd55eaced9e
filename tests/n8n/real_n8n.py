"""A real n8n with a user folder of its own: imported into and started as on a server, without a browser."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

_START_S = 240.0
_COMMAND_S = 240.0


@dataclass(frozen=True)
class Execution:
    """One run of a workflow; `data` is what its nodes put out, as n8n stores it."""

    number: int
    status: str
    data: str


@dataclass
class N8n:
    """One n8n.

    Attributes:
        install: where `tools/n8n.sh` installed it.
        folder: what it stores, its log and the files handed to it.
    """

    install: Path
    folder: Path
    port: int = field(default_factory=lambda: free_port())
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers; its own resume URLs begin with it."""
        return f"http://localhost:{self.port}"

    @property
    def log(self) -> Path:
        """What it printed since its last start."""
        return self.folder / "n8n.log"

    def add_header_credentials(self, values: Mapping[str, str]) -> None:
        """Credentials of the kind Header Auth by name, each an API key, as the user makes one by hand."""
        self._import(
            "credentials",
            [
                {
                    "id": f"headerauth{n:06}",
                    "name": name,
                    "type": "httpHeaderAuth",
                    "data": {"name": "X-API-Key", "value": value},
                }
                for n, (name, value) in enumerate(values.items())
            ],
        )

    def add_workflows(self, workflows: Sequence[Mapping[str, Any]]) -> None:
        """Imports and activates them; before `start`."""
        folder = self.folder / "workflows"
        folder.mkdir(parents=True)
        for n, workflow in enumerate(workflows):
            (folder / f"{n}.json").write_text(json.dumps(workflow), encoding="utf-8")
        self._run("import:workflow", "--separate", f"--input={folder}")
        self._run("update:workflow", "--all", "--active=true")

    def start(self) -> None:
        """Starts it and waits until it answers and its webhooks are registered."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command("start"),
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"n8n has ended: {self._tail()}"
            # The editor's address is printed last, after the webhooks of active workflows are in place.
            if "Editor is now accessible" in self.log.read_text(errors="replace"):
                return
            time.sleep(0.5)
        raise AssertionError(f"n8n did not start within {_START_S:.0f} s: {self._tail()}")

    def stop(self) -> None:
        """Ends it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def post(self, path: str, body: Mapping[str, Any], timeout_s: float = 300.0) -> httpx.Response:
        """Calls a production webhook, as `curl` does."""
        return httpx.post(f"{self.url}/webhook/{path}", json=body, timeout=timeout_s, trust_env=False)

    def last_execution(self, holding: str = "") -> Execution:
        """The newest execution, once it has ended and its data hold that text; as it is after a minute.

        n8n stores an execution's status a moment before its data.
        """
        deadline = time.monotonic() + 60
        while True:
            with sqlite3.connect(self.folder / ".n8n" / "database.sqlite") as database:
                row = database.execute(
                    "SELECT e.id, e.status, d.data FROM execution_entity e JOIN execution_data d "
                    "ON d.executionId = e.id ORDER BY e.id DESC LIMIT 1"
                ).fetchone()
            found = Execution(*row)
            ended = found.status not in ("new", "running", "waiting") and holding in found.data
            if ended or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def _import(self, kind: str, content: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{kind}.json"
        file.write_text(json.dumps(content), encoding="utf-8")
        self._run(f"import:{kind}", f"--input={file}")

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            self._command(*arguments),
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )
        # n8n's commands end with 0 even where they failed; the words tell.
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert "error occurred" not in said, said
        assert "GOT ERROR" not in said, said

    def _command(self, *arguments: str) -> list[str]:
        return ["node", str(self.install / "node_modules" / "n8n" / "bin" / "n8n"), *arguments]

    def _environment(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("N8N_", "DB_", "EXECUTIONS_"))}
        return {
            **clean,
            "N8N_USER_FOLDER": str(self.folder),
            "N8N_PORT": str(self.port),
            "N8N_LISTEN_ADDRESS": "127.0.0.1",
            "N8N_HOST": "localhost",
            "N8N_EXPRESSION_ENGINE": "legacy",
            "N8N_RUNNERS_ENABLED": "false",
            "N8N_DIAGNOSTICS_ENABLED": "false",
            "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
            "N8N_TEMPLATES_ENABLED": "false",
            "N8N_PERSONALIZATION_ENABLED": "false",
            "N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS": "false",
        }

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:]) if self.log.exists() else ""


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
