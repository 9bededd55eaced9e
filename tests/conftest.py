"""Fixtures shared by the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pvm_resources.signals import restore_handlers

pytest_plugins = ("tests.fixtures_db",)

# A suite in the background of a script would start every child with SIGINT ignored.
restore_handlers()

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of measuring material (photos, cases, weights, specs); skips where it is absent."""
    folder = Path(os.environ.get("PVM_SHARED", ROOT.parent / "shared"))
    if not (folder / "photos").is_dir():
        pytest.skip(f"{folder} holds no photos: set PVM_SHARED to the folder of measuring material")
    return folder
