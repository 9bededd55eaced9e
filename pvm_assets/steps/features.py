"""The assets of the features: each is a `FeatureStep` in a module of its own."""

from __future__ import annotations

from typing import Final

import dagster as dg

from pvm_assets.feature_step import FeatureStep
from pvm_assets.shards import Sharding
from pvm_assets.stage import Report, Stage, job_asset
from pvm_assets.steps.embeddings import Embeddings
from pvm_assets.steps.keypoints import Keypoints
from pvm_assets.steps.masks import Masks

FEATURES: Final[tuple[type[FeatureStep], ...]] = (Masks, Embeddings, Keypoints)


def feature_asset(step: type[FeatureStep]) -> dg.AssetsDefinition:
    """The asset of a feature."""

    def run(stage: Stage) -> Report:
        return step(stage).run()

    run.__name__, run.__doc__ = step.name, step.__doc__
    return job_asset(
        table=step.table,
        columns=step.columns,
        kinds=set(step.kinds),
        code_version=step.code_version,
        placement=step.placement,
    )(run)


FEATURE_ASSETS: Final = tuple(feature_asset(step) for step in FEATURES)


def sharding_of(step: type[FeatureStep]) -> Sharding:
    """How the pictures of a feature are spread over steps."""
    return Sharding(lambda stage: step(stage).begin(), lambda stage: step(stage).compute(), step.placement)
