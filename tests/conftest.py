"""Fixtures shared by the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import reaper

pytest_plugins = ("tests.fixtures_db",)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of measuring material (photos, cases, weights, specs); skips where it is absent."""
    folder = Path(os.environ.get("PVM_SHARED", ROOT.parent / "shared"))
    if not (folder / "photos").is_dir():
        pytest.skip(f"{folder} holds no photos: set PVM_SHARED to the folder of measuring material")
    return folder


def pytest_configure(config: pytest.Config) -> None:
    """Starts the process that ends what this run leaves behind; its workers belong to the run."""
    if not hasattr(config, "workerinput"):
        config.add_cleanup(reaper.watch())
