"""The networks of the attention analysis, loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvm_core.faces.detection import FaceDetector, load_detector
from pvm_core.faces.landmarks import LandmarkNet


@pytest.fixture(scope="session")
def blazeface(face_models: Path) -> FaceDetector:
    return load_detector("blazeface", face_models)


@pytest.fixture(scope="session")
def landmark_net(face_models: Path) -> LandmarkNet:
    return LandmarkNet(face_models)
