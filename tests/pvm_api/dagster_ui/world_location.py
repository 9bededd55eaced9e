"""A code location with something of each kind that an attack can reach."""

import dagster as dg

videos = dg.DynamicPartitionsDefinition(name="pvm_job")


@dg.asset(partitions_def=videos)
def keyframes() -> None:
    """An asset."""


@dg.asset_check(asset=keyframes)
def enough_frames() -> dg.AssetCheckResult:
    """A check."""
    return dg.AssetCheckResult(passed=True)


work = dg.define_asset_job("work", [keyframes])


@dg.sensor(job=work, default_status=dg.DefaultSensorStatus.RUNNING)
def inbox() -> None:
    """A sensor that runs."""


defs = dg.Definitions(assets=[keyframes], asset_checks=[enough_frames], jobs=[work], sensors=[inbox])
