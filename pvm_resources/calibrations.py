"""Calibrations of this machine: fitted by `pvm models calibrate`, they stand before the shipped ones."""

from __future__ import annotations

from pathlib import Path

from pvm_core.calibration import Calibration, calibrated_embedders, load_calibration


def own_file(models_dir: Path, embedder: str) -> Path:
    """Where this machine keeps its calibration of `embedder`, there or not."""
    return models_dir / "calibration" / f"{embedder}.json"


def calibration_of(models_dir: Path, embedder: str) -> Calibration:
    """This machine's calibration of `embedder`, else the shipped one.

    Raises:
        ModelError: ``calibration.corrupt``.
    """
    own = own_file(models_dir, embedder)
    return load_calibration(own if own.is_file() else None, embedder)


def calibrated(models_dir: Path) -> frozenset[str]:
    """Names of the embedders that are calibrated on this machine."""
    own = (models_dir / "calibration").glob("*.json")
    return calibrated_embedders() | {path.stem for path in own}
