"""The one job of the graph: all assets of one partition with their checks."""

from __future__ import annotations

from typing import Final

import dagster as dg

JOB_NAME: Final = "pvm_job_run"


def whole_job() -> dg.UnresolvedAssetJobDefinition:
    """All ten assets and their checks."""
    return dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.all(),
        description="From a job's sources to its proven matches; what is finished is not computed again.",
        tags={"dagster/max_retries": "2"},
    )
