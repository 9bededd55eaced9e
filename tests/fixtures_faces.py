"""Where the face networks and the real faces are; tests that need them say what they skip."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pvm_core.weights import is_present
from pvm_resources.settings import load_settings

NETWORKS = ("blazeface", "face-mesh", "iris-mesh")


@pytest.fixture(scope="session")
def face_models() -> Path:
    """The model store with the face networks; `make attention` fills it."""
    models = Path(os.environ.get("PVM_ATTENTION_MODELS") or load_settings().models)
    missing = [name for name in NETWORKS if not is_present(models, name)]
    if missing and os.environ.get("PVM_ATTENTION_REQUIRED"):
        pytest.fail(f"{', '.join(missing)} not in {models}: run make attention")
    if missing:
        pytest.skip("the face networks are not here (make attention)")
    return models


@pytest.fixture(scope="session")
def real_faces() -> Path:
    """The folder of the shared previews."""
    folder = Path(os.environ.get("PVM_SHARED") or Path(__file__).resolve().parents[1] / "../shared") / "faces"
    if not (folder / "truth.csv").is_file():
        pytest.skip("the shared previews of faces are not on this machine (PVM_SHARED)")
    return folder
