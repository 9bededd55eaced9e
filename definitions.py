"""The composition root, which workspace.yaml names: assets, checks, jobs, sensors, resources, executor."""

from __future__ import annotations

import dagster as dg

from pvm_assets.checks import collection, features, matching
from pvm_assets.execution.executors import pick_executor
from pvm_assets.industry import assets as industry_assets
from pvm_assets.industry import checks as industry_checks
from pvm_assets.jobs import industry_job, whole_job
from pvm_assets.services import job_services
from pvm_assets.steps.evidence import evidence
from pvm_assets.steps.features import FEATURE_ASSETS
from pvm_assets.steps.keyframes import keyframes
from pvm_assets.steps.matching import candidate_pairs, matches
from pvm_assets.steps.product_images import product_images
from pvm_assets.steps.products import products
from pvm_assets.steps.videos import videos
from pvm_resources.private import keep_private
from pvm_resources.settings import load_settings
from pvm_resources.signals import restore_handlers
from sensors import EXTERNAL, EXTERNAL_CHECKS, JOBS, SCHEDULES, SENSORS

ASSETS = (
    products,
    videos,
    product_images,
    keyframes,
    *FEATURE_ASSETS,
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
        assets=[*ASSETS, *industry_assets.ASSETS, *EXTERNAL],
        asset_checks=[*CHECKS, *industry_checks.CHECKS, *EXTERNAL_CHECKS],
        jobs=[whole_job(), industry_job(), *JOBS],
        sensors=SENSORS,
        schedules=SCHEDULES,
        resources={"job_services": job_services()},
        executor=pick_executor(executor),
    )


# Code servers and run workers start here, whoever started Dagster.
restore_handlers()
keep_private()
defs = definitions(load_settings().executor)
