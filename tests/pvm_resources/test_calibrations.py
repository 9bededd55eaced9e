"""A calibration fitted on this machine stands before the shipped one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pvm_core.scoring.calibration import calibrated_embedders, load_calibration, to_json
from pvm_resources.models.calibrations import calibrated, calibration_of, own_file


def test_without_a_file_of_its_own_a_machine_uses_the_shipped_one(tmp_path: Path) -> None:
    assert calibration_of(tmp_path, "classic") == load_calibration(None, "classic")
    assert calibrated(tmp_path) == calibrated_embedders()


def test_a_fitted_file_is_used_and_makes_its_embedder_calibrated(tmp_path: Path) -> None:
    mine = replace(load_calibration(None, "classic"), name="mine", embedder="my-model")
    path = own_file(tmp_path, "my-model")
    path.parent.mkdir(parents=True)
    path.write_text(to_json(mine), encoding="utf-8")

    assert calibration_of(tmp_path, "my-model") == mine
    assert "my-model" in calibrated(tmp_path)
    assert not calibration_of(tmp_path, "another").calibrated
