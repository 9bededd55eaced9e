"""What Dagster loads: assets, checks, job, sensors, resources, executor."""

from __future__ import annotations

import dagster as dg

from pvm_assets.assets.evidence import evidence
from pvm_assets.assets.features import embeddings, keypoints
from pvm_assets.assets.keyframes import keyframes
from pvm_assets.assets.matching import candidate_pairs, matches
from pvm_assets.assets.product_images import product_images
from pvm_assets.assets.products import products
from pvm_assets.assets.segmentation import masks
from pvm_assets.assets.videos import videos
from pvm_assets.checks import collection, features, matching
from pvm_assets.execution.executors import pick_executor
from pvm_assets.jobs import JOB_NAME, whole_job
from pvm_assets.workbench import workbench
from pvm_core.signals import restore_handlers
from pvm_resources.settings import load_settings
from sensors import EXTERNAL, EXTERNAL_CHECKS, JOBS, SCHEDULES, SENSORS

ASSETS = (
    products,
    videos,
    product_images,
    keyframes,
    masks,
    embeddings,
    keypoints,
    candidate_pairs,
    matches,
    evidence,
)
CHECKS = (*collection.CHECKS, *features.CHECKS, *matching.CHECKS)


def definitions(executor: str) -> dg.Definitions:
    """The whole graph, run by the executor of that name.

    Raises:
        InputError: ``executor.unknown``, ``executor.missing``.
    """
    return dg.Definitions(
        assets=[*ASSETS, *EXTERNAL],
        asset_checks=[*CHECKS, *EXTERNAL_CHECKS],
        jobs=[whole_job(), *JOBS],
        sensors=SENSORS,
        schedules=SCHEDULES,
        resources={"workbench": workbench()},
        executor=pick_executor(executor),
    )


# Code servers and run workers start here, whoever started Dagster.
restore_handlers()
defs = definitions(load_settings().executor)


def pvm_job_run_definition() -> dg.JobDefinition:
    """The job, for a process that runs it itself."""
    return defs.resolve_job_def(JOB_NAME)
