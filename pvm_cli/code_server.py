"""The code servers of `pvm up`: web server and daemon share them, and runs are their children."""

from __future__ import annotations

from pathlib import Path


def serve_command(path: Path, module: str, attribute: str, location: str) -> list[str]:
    """Arguments of ``python -m``; the code is loaded when it is first asked for: the UI shows what is wrong
    with it."""
    return [
        "dagster", "api", "grpc", "--socket", str(path), "--module-name", module, "--attribute", attribute,
        "--location-name", location, "--lazy-load-user-code", "--use-python-environment-entry-point",
        "--inject-env-vars-from-instance", "--log-level", "warning",
    ]  # fmt: skip
