"""Finds runs whose worker died."""

from __future__ import annotations

import dagster as dg

from pvm_assets.execution.stale_runs import fail_stale_runs
from pvm_core.errors import StoreError
from sensors.open_store import open_store


@dg.sensor(
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs failed whose worker is gone, and frees their pool slots.",
)
def stale_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """One tick: all started runs are examined."""
    with open_store() as store:
        try:
            ended = fail_stale_runs(context.instance, store.database)
        except StoreError as error:
            return dg.SkipReason(str(error))
    for run_id in ended:
        context.log.warning(f"run {run_id} had lost its worker and is marked failed")
    return dg.SkipReason(f"{len(ended)} runs without a worker")
