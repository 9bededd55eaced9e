"""Sensors: runs without a worker, the status of runs that Dagster launched."""

from __future__ import annotations

from typing import Final

from sensors.run_status import cancelled_runs, failed_runs
from sensors.stale_runs import stale_runs

SENSORS: Final = (stale_runs, failed_runs, cancelled_runs)

__all__ = ["SENSORS", "cancelled_runs", "failed_runs", "stale_runs"]
