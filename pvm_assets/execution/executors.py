"""The executor of the graph, picked by name; each name imports its library only when picked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from pvm_assets.execution.supervision import RunRefusedError, supervise
from pvm_assets.graph import asset_of
from pvm_assets.run_tags import REFUSED_TAG
from pvm_core.errors import InputError

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan
    from dagster._core.execution.retries import RetryMode
    from dagster._core.execution.step_dependency_config import StepDependencyConfig

#: Name -> module and attribute of the executor, and the extra that installs it.
_PICK: Final[Mapping[str, tuple[str, str, str]]] = {
    "in_process": ("dagster", "in_process_executor", ""),
    "multiprocess": ("dagster", "multiprocess_executor", ""),
    "docker": ("pvm_assets.execution.docker", "tagged_docker_executor", ""),
    "k8s": ("dagster_k8s", "k8s_job_executor", "k8s"),
    "celery": ("pvm_assets.execution.celery", "served_celery_executor", "celery"),
}

#: Names `PVM_EXECUTOR` may take.
EXECUTORS: Final = tuple(_PICK)


def pick_executor(name: str) -> dg.ExecutorDefinition:
    """The executor called `name`, supervised: its run worker holds the run's lock and keeps the job's status.

    Raises:
        InputError: ``executor.unknown``; ``executor.missing`` where its extra is not installed.
    """
    if name not in _PICK:
        raise InputError(
            "executor.unknown", name, "is no executor of this project", f"Set PVM_EXECUTOR to {_names()}"
        )
    module, attribute, extra = _PICK[name]
    try:
        return _supervised(getattr(import_module(module), attribute))
    except ModuleNotFoundError as error:
        raise InputError(
            "executor.missing",
            name,
            f"needs the package {error.name}",
            f'Install the extra: uv pip install -e ".[{extra}]"',
        ) from error


def _names() -> str:
    return ", ".join(EXECUTORS[:-1]) + " or " + EXECUTORS[-1]


def _supervised(inner: dg.ExecutorDefinition) -> dg.ExecutorDefinition:
    create = inner.executor_creation_fn
    assert create is not None
    return dg.ExecutorDefinition(
        name=inner.name,
        config_schema=cast(Any, inner.config_schema),
        requirements=inner.get_requirements,
        executor_creation_fn=lambda context: SupervisedExecutor(create(context)),
        description=inner.description,
    )


class SupervisedExecutor(dg.Executor):
    """Any executor, with the run's lock held in the run worker for as long as steps are orchestrated.

    An executor runs in the run worker whatever launched it (command line, UI, sensor, backfill), so this is
    the one place that sees every run from its first step to its last.
    """

    def __init__(self, inner: dg.Executor) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        """What some executors alone have, and ask the executor of the run for."""
        if name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    @property
    def retries(self) -> RetryMode:
        return self.inner.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        return self.inner.step_dependency_config

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """The inner executor's events, between taking and releasing the run's lock."""
        steps = frozenset(map(asset_of, execution_plan.step_keys_to_execute))
        instance, run = plan_context.instance, plan_context.dagster_run
        try:
            with supervise(instance, run, steps) as watch:
                for event in self.inner.execute(plan_context, execution_plan):
                    watch(event)
                    yield event
        except RunRefusedError as refused:
            end_refused(instance, run, refused.reason)
            # To Dagster the worker of a cancelled run stops; what it lets out itself is no failure.
            raise DagsterExecutionInterruptedError from None


def end_refused(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: InputError) -> None:
    """Cancels the run and says why: a failed run would mark every asset of the partition as failed."""
    instance.add_run_tags(run.run_id, {REFUSED_TAG: reason.code})
    instance.report_run_canceled(run, f"Not run: {reason}")
