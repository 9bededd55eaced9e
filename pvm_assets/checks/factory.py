"""The one place where checks are made: Dagster's partitioned checks are a preview and may still change."""

# Dagster reads the annotations of decorated functions: they are not postponed here.

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import dagster as dg
from dagster import PreviewWarning

from pvm_assets.descriptions import described
from pvm_assets.partitions import JOB_PARTITIONS
from pvm_assets.services import JobServices, JobServicesResource
from pvm_assets.stage import clear_failure
from pvm_core.errors import InputError
from pvm_core.rules import Rules
from pvm_resources.store.assembly import Store
from pvm_resources.store.records import AssetState, CheckVerdict, Job


@dataclass(frozen=True)
class CheckContext:
    """What a check examines: one job, its present rules, and the asset's state."""

    services: JobServices
    job: Job
    rules: Rules
    state: AssetState

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.job.job_id

    @property
    def store(self) -> Store:
        """The tables."""
        return self.services.store

    def key(self, name: str) -> str:
        """A key of the job: ``masks``, ``embeddings``, ...; "" where it has none."""
        return self.job.keys.get(name, "")


@dataclass(frozen=True)
class CheckOutcome:
    """The outcome of a check.

    Attributes:
        summary: one line: the figure seen and the figure wanted.
        severity: a WARN is shown and never blocks.
        metadata: figures and names for the UI.
    """

    passed: bool
    summary: str
    severity: Literal["ERROR", "WARN"] = "ERROR"
    metadata: Mapping[str, Any] = field(default_factory=dict)


def job_check(
    asset: str, *, blocking: bool, placement: Mapping[str, Any] | None = None
) -> Callable[[Callable[[CheckContext], CheckOutcome]], dg.AssetChecksDefinition]:
    """Makes a partitioned check of a function of a `CheckContext`; name and description are its own.

    The verdict is stored for the data version it was given for; assets downstream read it
    (`pvm_assets.upstream_check`), also where they are launched alone.

    Args:
        blocking: a failure stops the downstream.
        placement: `GPU` for checks that want the GPU.
    """

    def decorate(check: Callable[[CheckContext], CheckOutcome]) -> dg.AssetChecksDefinition:
        name = check.__name__

        def run(
            context: dg.AssetCheckExecutionContext, job_services: JobServicesResource
        ) -> dg.AssetCheckResult:
            with clear_failure():
                return _examine(asset, name, blocking, check, context.partition_key, job_services.services)

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=PreviewWarning, message=".*partitions_def.*")
            return dg.asset_check(
                asset=asset,
                name=name,
                blocking=blocking,
                description=described(check),
                partitions_def=JOB_PARTITIONS,
                **(placement or {}),
            )(run)

    return decorate


def _examine(
    asset: str,
    name: str,
    blocking: bool,
    check: Callable[[CheckContext], CheckOutcome],
    partition_key: str,
    services: JobServices,
) -> dg.AssetCheckResult:
    job = services.job_of(partition_key)
    state = services.store.state.asset(job.job_id, asset)
    if state is None:
        raise InputError(
            "upstream.missing",
            f"{name} of job {job.job_id}",
            f"{asset} has not been materialised for this job",
            f"Materialise {asset} first",
        )
    verdict = check(CheckContext(services, job, services.rules_of(job), state))
    metadata = {"summary": verdict.summary, **verdict.metadata}
    row = CheckVerdict(asset, name, state.data_version, verdict.passed, blocking, verdict.severity, metadata)
    services.store.state.write_verdicts(job.job_id, [row])
    return dg.AssetCheckResult(
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity[verdict.severity],
        description=verdict.summary,
        metadata=metadata,
    )
