"""The one job of the graph: all assets of one partition with their checks."""

from __future__ import annotations

from typing import Final

import dagster as dg

from pvm_assets.descriptions import PARTITION_HELP
from pvm_assets.partitions import JOB_PARTITIONS
from pvm_assets.run_tags import INDUSTRY_TAG
from pvm_jobs.job_ids import split_partition_key

JOB_NAME: Final = "pvm_job_run"


def whole_job() -> dg.UnresolvedAssetJobDefinition:
    """All ten assets and their checks."""
    return dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.all(),
        description=(
            "From a job's sources to its proven matches; what is finished is not computed again.\n\n"
            f"{PARTITION_HELP}"
        ),
        tags={"dagster/max_retries": "2"},
        # The tag queues a run behind others of its industry, also when launched from the UI.
        config=dg.PartitionedConfig(
            JOB_PARTITIONS,
            run_config_for_partition_key_fn=lambda _key: {},
            tags_for_partition_key_fn=lambda key: {INDUSTRY_TAG: split_partition_key(key)[0]},
        ),
    )
