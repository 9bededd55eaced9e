"""The platform as `pvm up` starts it, in a home of its own, with one industry that has standing sources."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.store.deliveries import Deliveries, Delivery
from tests.e2e.tiny import Tiny
from tests.n8n.real_n8n import free_port

INDUSTRY = "gối công thái học"
#: Nothing of the caller's own settings reaches the platform.
_OURS = ("PVM_", "DAGSTER_", "EMBED_", "MATCH_", "RETRIEVAL_", "SIM_", "INLIERS_", "POSTGRES_", "DATA_ROOT",
         "CALLBACK_", "BUS_", "EBAY_", "AMAZON_")  # fmt: skip


@dataclass(frozen=True)
class Platform:
    """A platform.

    Attributes:
        home: its PVM_HOME.
        port: of the REST API.
        allowed: CALLBACK_ALLOWED_HOSTS.
    """

    home: Path
    port: int
    allowed: str

    @property
    def url(self) -> str:
        """Where the REST API answers."""
        return f"http://127.0.0.1:{self.port}"

    def up(self, case: Tiny) -> str:
        """Starts everything and adds the industry; returns an API key that may start jobs."""
        self._pvm("up", "--port", free_port())
        added = self._pvm("industries", "add", INDUSTRY, "--products", case.products, "--videos", case.videos)
        assert INDUSTRY in added
        return self._pvm("keys", "create", "n8n", "--scope", "run").split()[-1]

    def down(self) -> None:
        """Stops everything."""
        self._pvm("down")

    def get(self, url: str, key: str) -> httpx.Response:
        """What the API answers to a GET."""
        return httpx.get(url, headers={"X-API-Key": key}, timeout=60, trust_env=False)

    def deliveries(self, job_id: str) -> list[Delivery]:
        """Callbacks of a job, as the store has them."""
        with Database(EmbeddedServer(self.home).uri("pvm")) as database:
            return Deliveries(database).listed(job_id=job_id)

    def _pvm(self, *arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pvm_cli.main", *map(str, arguments)],
            env=dict(self._environment()),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _environment(self) -> Mapping[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
        return {
            **clean,
            "PVM_HOME": str(self.home),
            "PVM_API_PORT": str(self.port),
            "PVM_WORKERS": "2",
            "EMBED_MODEL": "classic",
            "PVM_SEGMENTER": "classic",
            "CALLBACK_ALLOWED_HOSTS": self.allowed,
        }
