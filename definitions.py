"""The composition root, which workspace.yaml names: assets, checks, jobs, sensors, resources, executor."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from pvm_assets.checks import collection, features, matching
from pvm_assets.execution.executors import pick_executor
from pvm_assets.industry import assets as industry_assets
from pvm_assets.industry import checks as industry_checks
from pvm_assets.jobs import industry_job, whole_job
from pvm_assets.services import job_services
from pvm_assets.shards import Sharding, in_shards
from pvm_assets.steps.evidence import begin_evidence, draw_evidence, evidence
from pvm_assets.steps.features import FEATURE_ASSETS, FEATURES, sharding_of
from pvm_assets.steps.keyframes import begin_keyframes, cut_keyframes, keyframes
from pvm_assets.steps.matching import begin_matches, candidate_pairs, matches, verify_matches
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
#: How the items of assets are spread over steps.
SHARDED: dict[str, Sharding] = {
    "keyframes": Sharding(begin_keyframes, cut_keyframes, {}),
    **{step.name: sharding_of(step) for step in FEATURES},
    "matches": Sharding(begin_matches, verify_matches, {}),
    "evidence": Sharding(begin_evidence, draw_evidence, {}),
}
CHECKS = (*collection.CHECKS, *features.CHECKS, *matching.CHECKS)


def definitions(executor: str, *, shards: bool = False) -> dg.Definitions:
    """The whole graph, run by the executor of that name.

    Args:
        shards: stages with many items are split over steps.

    Raises:
        InputError: ``executor.unknown``, ``executor.missing``.
    """
    return dg.Definitions(
        assets=[*_assets(shards), *industry_assets.ASSETS, *EXTERNAL],
        asset_checks=[*CHECKS, *industry_checks.CHECKS, *EXTERNAL_CHECKS],
        jobs=[whole_job(), industry_job(), *JOBS],
        sensors=SENSORS,
        schedules=SCHEDULES,
        resources={"job_services": job_services()},
        executor=pick_executor(executor),
    )


def _assets(shards: bool) -> Iterator[dg.AssetsDefinition]:
    for asset in ASSETS:
        sharding = SHARDED.get(asset.key.to_user_string()) if shards else None
        yield asset if sharding is None else in_shards(asset, sharding)


# Code servers and run workers start here, whoever started Dagster.
restore_handlers()
keep_private()
_settings = load_settings()
defs = definitions(_settings.executor, shards=_settings.in_shards)
