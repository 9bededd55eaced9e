"""`pvm` as a real process with a home of its own."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import tiny
from forks import forks

#: One worker: the suite itself runs several jobs at once on two cores.
_ENV = {"PVM_WORKERS": "1", "EMBED_MODEL": "classic", "PVM_SEGMENTER": "classic", "COLUMNS": "160"}
_PATIENCE_S = 240.0
_OURS = ("PVM_", "DAGSTER_", "EMBED_", "MATCH_", "RETRIEVAL_", "SIM_", "INLIERS_", "POSTGRES_", "DATA_ROOT")


@dataclass(frozen=True)
class Pvm:
    """The command line of one home."""

    home: Path

    def environment(self, **more: str) -> dict[str, str]:
        """What the command sees: nothing of the caller's own settings."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
        return {**clean, **_ENV, "PVM_HOME": str(self.home), **more}

    def command(self, *arguments: str | Path) -> list[str]:
        """`pvm` with these arguments, for this interpreter."""
        return [sys.executable, "-m", "pvm_cli.main", *map(str, arguments)]

    def __call__(self, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Runs the command to its end; environment variables may be given by name."""
        if "PYTHONPATH" in more:
            # Read by an interpreter that starts, which a forked one does not.
            return self.cold(*arguments, **more)
        return forks().run(list(map(str, arguments)), self.environment(**more), _PATIENCE_S)

    def cold(self, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        """The same in a fresh interpreter, as a shell starts it."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )

    def run(
        self, products: Path, videos: Path, industry: str = "Hộp giấy", *more: str
    ) -> subprocess.CompletedProcess[str]:
        """`pvm run` on these sources."""
        return self("run", "--industry", industry, "--products", products, "--videos", videos, *more)

    def kept_up(self) -> None:
        """Starts the embedded server so that it stays between commands, which saves each its start."""
        from pvm_resources.postgres.server import EmbeddedServer
        from pvm_resources.private import keep_private

        keep_private()
        EmbeddedServer(self.home).up(keep=True)

    def torn_down(self) -> None:
        """Stops everything of this home."""
        self("down")


@dataclass(frozen=True)
class Started:
    """A home after `pvm up`.

    Attributes:
        ui_port, api_port: where Dagster's UI and the REST API listen.
        folder: below it lies what callers of the API may name as sources.
    """

    pvm: Pvm
    ui_port: int
    api_port: int
    folder: Path

    def up(self, **more: str) -> subprocess.CompletedProcess[str]:
        """Starts what is not running; environment variables may be given by name."""
        ports = ("--port", str(self.ui_port), "--api-port", str(self.api_port))
        given = {"PVM_API_SOURCE_ROOTS": str(self.folder), "PVM_LOG_FORMAT": "json"}
        started = self.pvm.cold("up", *ports, **given, **more)
        assert started.returncode == 0, started.stderr
        for port in (self.ui_port, self.api_port):
            assert f"http://127.0.0.1:{port}" in started.stdout
        return started


def open_to_others(home: Path) -> list[str]:
    """What of a home the group or others may read, write or enter; links have no modes of their own."""
    found = [home, *home.rglob("*")]
    return [f"{path}: {path.stat().st_mode:o}" for path in found if not path.is_symlink() and _is_open(path)]


def _is_open(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    # Whoever may enter its folder needs the password behind a socket of PostgreSQL.
    return bool(mode & 0o077) and not stat.S_ISSOCK(mode)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Finished:
    """A home with one finished tiny job."""

    pvm: Pvm
    case: tiny.Tiny
    run: subprocess.CompletedProcess[str]
    industry: str
