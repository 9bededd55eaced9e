"""Jobs over assets: all of a job's partition, all of an industry's, with their checks."""

from __future__ import annotations

from typing import Final

import dagster as dg

from pvm_assets.descriptions import PARTITION_HELP
from pvm_assets.graph import INDUSTRY_NODES, NODES
from pvm_assets.partitions import JOB_PARTITIONS
from pvm_assets.run_tags import INDUSTRY_TAG
from pvm_jobs.job_ids import split_partition_key

JOB_NAME: Final = "pvm_job_run"
INDUSTRY_JOB_NAME: Final = "pvm_catalogue"


def whole_job() -> dg.UnresolvedAssetJobDefinition:
    """All ten assets and their checks."""
    return dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.assets(*NODES),
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


def industry_job() -> dg.UnresolvedAssetJobDefinition:
    """The four assets of an industry and their checks."""
    return dg.define_asset_job(
        INDUSTRY_JOB_NAME,
        selection=dg.AssetSelection.assets(*INDUSTRY_NODES),
        description=(
            "What an industry has as a whole: vectors of its products' words, their index, recommendations, "
            "its report. Pick the industry's partition; what has not changed is not computed again."
        ),
        # Two at once would embed the same products.
        tags={"pvm/catalogue": "1"},
    )
