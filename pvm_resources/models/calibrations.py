"""Which calibration counts: an industry's own (`pvm calibrate`), else this machine's (`pvm models
calibrate`), else the shipped one."""

from __future__ import annotations

from pathlib import Path

from pvm_core.scoring.calibration import Calibration, calibrated_embedders, from_json, load_calibration
from pvm_core.weights import folder_of
from pvm_resources.store.calibrations import Calibrations


def own_file(models_dir: Path, embedder: str) -> Path:
    """Where this machine keeps its calibration of `embedder`, there or not."""
    folder = models_dir / "calibration"
    return folder / f"{folder_of(folder, embedder).name}.json"


def calibration_of(models_dir: Path, embedder: str) -> Calibration:
    """This machine's calibration of `embedder`, else the shipped one.

    Raises:
        ModelError: ``calibration.corrupt``.
    """
    own = own_file(models_dir, embedder)
    return load_calibration(own if own.is_file() else None, embedder)


def calibration_for(
    calibrations: Calibrations, models_dir: Path, industry: str | None, embedder: str
) -> Calibration:
    """The calibration that jobs of an industry (slug) score with: its own, else `calibration_of`; None: of no
    industry.

    Raises:
        ModelError: ``calibration.corrupt``.
    """
    own = calibrations.in_force(industry, embedder) if industry is not None else None
    return own.calibration if own is not None else calibration_of(models_dir, embedder)


def calibrated(models_dir: Path) -> frozenset[str]:
    """Names of the embedders that are calibrated on this machine.

    Raises:
        ModelError: ``calibration.corrupt``.
    """
    own = (models_dir / "calibration").glob("*.json")
    return calibrated_embedders() | {from_json(p.read_text("utf-8"), str(p)).embedder for p in own}
