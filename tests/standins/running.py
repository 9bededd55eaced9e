"""Stand-ins as processes of their own, for jobs that run in other processes too."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, AnyStr
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]


class Running:
    """A stand-in in another process.

    Args:
        url: where it listens.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def place(self) -> str:
        """Its host and port, as ``PVM_FETCH_ALLOW`` takes them."""
        return urlsplit(self.url).netloc

    def counts(self) -> dict[str, int]:
        """Requests so far, per path."""
        found: dict[str, int] = self._json("/_counts")
        return found

    def violations(self) -> list[str]:
        """What broke the contract so far."""
        found: list[str] = self._json("/_violations")
        return found

    def fail(self, path: str, kind: str = "status", **how: Any) -> None:
        """From the next request on, `path` misbehaves as `tests.standins.serving.Fault` says."""
        self._json("/_faults", json.dumps([{"path": path, "kind": kind, **how}]).encode())

    def _json(self, path: str, body: bytes | None = None) -> Any:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(self.url + path, body, timeout=30) as answer:
            return json.load(answer)


@contextlib.contextmanager
def running(name: str, *options: str) -> Iterator[Running]:
    """Starts ``tests.standins.<name>`` with options; it ends with the block.

    Example:
        ``with running("ebay", "--folder", str(case)) as ebay: ...``
    """
    command = [sys.executable, "-m", f"tests.standins.{name}", *options]
    with ended(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"{name} did not start")
        yield Running(url)


@contextlib.contextmanager
def ended(process: subprocess.Popen[AnyStr], limit_s: float = 10.0) -> Iterator[subprocess.Popen[AnyStr]]:
    """The process, which ends with the block: killed where SIGTERM has not ended it in `limit_s` seconds."""
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(limit_s)
            except subprocess.TimeoutExpired:
                process.kill()


def ebay_environment(server: Running) -> dict[str, str]:
    """The variables that lead a job to an eBay stand-in."""
    return {
        "EBAY_API_URL": server.url,
        "EBAY_CLIENT_ID": "stand-in-client",
        "EBAY_CLIENT_SECRET": "stand-in-secret",
    }


def amazon_environment(server: Running) -> dict[str, str]:
    """The variables that lead a job to an Amazon stand-in."""
    return {
        "AMAZON_API_URL": server.url,
        "AMAZON_TOKEN_URL": f"{server.url}/auth/o2/token",
        "AMAZON_CREDENTIAL_ID": "stand-in-credential",
        "AMAZON_CREDENTIAL_SECRET": "stand-in-secret",
        "AMAZON_CREDENTIAL_VERSION": "3.1",
        "AMAZON_PARTNER_TAG": "stand-in-20",
    }
