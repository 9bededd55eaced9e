"""What every asset and check of an industry does around its own work. A partition is an industry."""

# Dagster reads the annotations of decorated functions: they are not postponed here.

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import dagster as dg
from dagster import PreviewWarning

from pvm_assets.checks.factory import CheckOutcome
from pvm_assets.descriptions import described
from pvm_assets.graph import INDUSTRY_NODES, OWNERS
from pvm_assets.report import Column, Report
from pvm_assets.services import JobServices, JobServicesResource
from pvm_assets.stage import clear_failure
from pvm_core.errors import InputError
from pvm_core.rules import Rules
from pvm_resources.store.text_vectors import UNASSIGNED
from pvm_resources.text_index import TextIndex

PARTITIONS_NAME: Final = "pvm_industry"
#: Keys are slugs of industries, and `UNASSIGNED` for products of none. The sensor `catalogue` adds them.
INDUSTRY_PARTITIONS: Final = dg.DynamicPartitionsDefinition(name=PARTITIONS_NAME)
_HELP: Final = (
    "A partition is an industry; its key is the industry's slug (`pvm industries list`), and "
    f"`{UNASSIGNED}` for products that belong to none. The sensor `catalogue` adds them and materialises "
    "what changed."
)


@dataclass
class IndustryStage:
    """One asset at work on one industry.

    Attributes:
        slug: the partition; `UNASSIGNED` for products of no industry.
    """

    slug: str
    rules: Rules
    services: JobServices
    log: Any
    started: float = field(default_factory=time.monotonic)

    @property
    def index(self) -> TextIndex:
        """Vectors of words."""
        return TextIndex(self.services.store, self.services.settings)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return round(time.monotonic() - self.started, 2)


def industry_asset(
    *, table: str, columns: Sequence[Column], kinds: set[str], code_version: str
) -> Callable[[Callable[[IndustryStage], Report]], dg.AssetsDefinition]:
    """Makes an asset partitioned by industry of a function of an `IndustryStage`."""

    def decorate(work: Callable[[IndustryStage], Report]) -> dg.AssetsDefinition:
        name = work.__name__
        schema = dg.TableSchema([dg.TableColumn(c.name, c.type, c.description or None) for c in columns])

        @dg.asset(
            name=name,
            deps=list(INDUSTRY_NODES[name].upstream),
            partitions_def=INDUSTRY_PARTITIONS,
            group_name=INDUSTRY_NODES[name].group,
            owners=list(OWNERS),
            kinds=kinds,
            description=f"{described(work)}\n\n{_HELP}",
            code_version=code_version,
            metadata={"dagster/column_schema": schema, "dagster/table_name": f"pvm.public.{table}"},
        )
        def run(
            context: dg.AssetExecutionContext, job_services: JobServicesResource
        ) -> dg.MaterializeResult[Any]:
            with clear_failure():
                stage = _stage(context.partition_key, job_services.services, context.log)
                report = work(stage)
            return dg.MaterializeResult(
                metadata={
                    **report.metadata, "seconds": stage.seconds,
                    "dagster/partition_row_count": report.rows,
                },
                data_version=dg.DataVersion(report.version),
            )  # fmt: skip

        made: dg.AssetsDefinition = run
        return made

    return decorate


def industry_check(
    asset: str, *, blocking: bool
) -> Callable[[Callable[[IndustryStage], CheckOutcome]], dg.AssetChecksDefinition]:
    """Makes a check partitioned by industry of a function of an `IndustryStage`."""

    def decorate(check: Callable[[IndustryStage], CheckOutcome]) -> dg.AssetChecksDefinition:
        def run(
            context: dg.AssetCheckExecutionContext, job_services: JobServicesResource
        ) -> dg.AssetCheckResult:
            with clear_failure():
                outcome = check(_stage(context.partition_key, job_services.services, context.log))
            return dg.AssetCheckResult(
                passed=outcome.passed,
                severity=dg.AssetCheckSeverity[outcome.severity],
                description=outcome.summary,
                metadata={"summary": outcome.summary, **outcome.metadata},
            )

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=PreviewWarning, message=".*partitions_def.*")
            return dg.asset_check(
                asset=asset,
                name=check.__name__,
                blocking=blocking,
                description=described(check),
                partitions_def=INDUSTRY_PARTITIONS,
            )(run)

    return decorate


def _stage(slug: str, services: JobServices, log: Any) -> IndustryStage:
    if slug == UNASSIGNED:
        return IndustryStage(slug, services.settings.rules_of("default", {}), services, log)
    try:
        industry = services.store.industries.get(slug)
    except InputError as error:
        raise InputError(
            "partition.industry", f"partition {slug}", "it is no industry's slug",
            "Take one of `pvm industries list`",
        ) from error  # fmt: skip
    return IndustryStage(
        industry.slug, services.settings.rules_of(industry.rule_set, industry.rules), services, log
    )
