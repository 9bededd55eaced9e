"""Docker steps placed one by one: the stock handler knows one container configuration for all steps."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import dagster as dg
import docker
import requests
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig
from dagster._core.executor.base import Executor
from dagster._core.executor.init import InitExecutorContext
from dagster._core.executor.step_delegating import CheckStepHealthResult, StepDelegatingExecutor
from dagster._core.executor.step_delegating.step_handler.base import StepHandlerContext
from dagster_docker import docker_executor
from dagster_docker.container_context import DockerContainerContext
from dagster_docker.docker_executor import DockerStepHandler

from pvm_assets.execution.containers import (
    container_environment,
    container_image,
    container_networks,
    container_options,
)
from pvm_assets.execution.lost_steps import STARTS, ended, step_events
from pvm_resources.settings import load_settings

#: A step's own container configuration: ``image`` and the fields of Dagster's docker container context.
DOCKER_TAG: Final = "dagster-docker/config"
#: Label of a step's container: the id of its run.
RUN_LABEL: Final = "pvm/run"
#: How often containers are looked after, seconds; a look is one request to the engine a running step.
_HEALTH_S: Final = 5
#: How long a container may take to end once its step has, or once it was told to stop, seconds.
_END_S: Final = 30

_log = logging.getLogger("pvm.docker")


def step_docker_config(context: StepHandlerContext) -> dict[str, Any]:
    """The step's tag, parsed; {} where it has none; a dict in `op_tags` reaches a step as JSON text."""
    keys = context.execute_step_args.step_keys_to_execute or []
    raw = context.step_tags.get(keys[0], {}).get(DOCKER_TAG) if keys else None
    if raw is None:
        return {}
    parsed: dict[str, Any] = json.loads(raw) if isinstance(raw, str) else dict(raw)
    return parsed


class TaggedDockerStepHandler(DockerStepHandler):
    """`DockerStepHandler` that merges a step's ``dagster-docker/config`` over the run's configuration, and
    starts a container again that ended before its step did."""

    def __init__(self, image: str | None, container_context: DockerContainerContext) -> None:
        super().__init__(image, container_context)
        self._starts: dict[str, int] = {}

    def _get_image(self, step_handler_context: StepHandlerContext) -> str:
        image = step_docker_config(step_handler_context).get("image")
        return str(image or super()._get_image(step_handler_context))

    def _get_docker_container_context(
        self, step_handler_context: StepHandlerContext
    ) -> DockerContainerContext:
        base: DockerContainerContext = super()._get_docker_container_context(step_handler_context)
        own = step_docker_config(step_handler_context)
        fields: Mapping[str, Any] = {k: v for k, v in own.items() if k != "image"}
        if not fields:
            return base
        step: Any = DockerContainerContext.create_from_config({"docker": fields})  # type: ignore[no-untyped-call]
        merged: DockerContainerContext = base.merge(step)
        return merged

    def _create_step_container(
        self, client: Any, container_context: DockerContainerContext, step_image: str, context: Any
    ) -> Any:
        labels = container_context.container_kwargs.get("labels") or {}
        kept = {
            **container_context.container_kwargs,
            "labels": {**labels, RUN_LABEL: context.dagster_run.run_id},
        }
        marked = container_context._replace(container_kwargs=kept)
        return super()._create_step_container(client, marked, step_image, context)

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[dg.DagsterEvent]:
        """Creates and starts the step's container."""
        name = self._get_container_name(step_handler_context)
        self._starts[name] = self._starts.get(name, 0) + 1
        yield from super().launch_step(step_handler_context)

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Healthy where the container runs or its step is finished; a lost one is started again, at most
        `STARTS` times in all: what a step has finished it does not compute again."""
        found = super().check_step_health(step_handler_context)
        if found.is_healthy or self._ended(step_handler_context):
            return CheckStepHealthResult.healthy()
        name = self._get_container_name(step_handler_context)
        if self._starts.get(name, STARTS) >= STARTS:
            return found
        self._remove(step_handler_context, name)
        step_key = self._get_step_key(step_handler_context)
        dg.DagsterEvent.engine_event(
            step_handler_context.get_step_context(step_key),
            f"{found.unhealthy_reason} Starting the step again.",
            EngineEventData(),
        )
        list(self.launch_step(step_handler_context))
        return CheckStepHealthResult.healthy()

    def _ended(self, context: StepHandlerContext) -> bool:
        arguments, step = context.execute_step_args, self._get_step_key(context)
        events = step_events(context.instance, arguments.run_id, step)
        return ended(events, arguments.known_state, step)

    def _remove(self, context: StepHandlerContext, name: str) -> None:
        try:
            self._get_client(self._get_docker_container_context(context)).containers.get(name).remove(v=True)
        except docker.errors.NotFound:
            return

    def remove_ended(self, run_id: str) -> None:
        """Removes the containers of the run's steps; a step says that it has ended a moment before its
        container does."""
        client = self._get_client(self._container_context)
        for container in client.containers.list(all=True, filters={"label": f"{RUN_LABEL}={run_id}"}):
            try:
                container.wait(timeout=_END_S)
                container.remove(v=True)
            except (docker.errors.DockerException, requests.RequestException) as error:
                # The run's result does not depend on it.
                _log.warning("container %s of run %s was left behind: %s", container.name, run_id, error)


class TaggedDockerExecutor(StepDelegatingExecutor):
    """A `StepDelegatingExecutor` that leaves no container behind."""

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Events of the steps."""
        try:
            yield from super().execute(plan_context, execution_plan)
        finally:
            cast(TaggedDockerStepHandler, self._step_handler).remove_ended(plan_context.run_id)


def _create(init_context: InitExecutorContext) -> Executor:
    """Each step in a container of its own, placed by its ``dagster-docker/config`` tag."""
    config: Mapping[str, Any] = init_context.executor_config
    settings = load_settings()
    networks = config.get("networks") or ([config["network"]] if config.get("network") else [])
    variables = [f"{name}={value}" for name, value in container_environment(settings).items()]
    container = DockerContainerContext(
        registry=config.get("registry"),
        env_vars=[*variables, *(config.get("env_vars") or [])],
        networks=list(networks) or container_networks(settings),
        container_kwargs={**container_options(settings), **(config.get("container_kwargs") or {})},
    )
    limits: Any = config.get("tag_concurrency_limits")
    return TaggedDockerExecutor(
        TaggedDockerStepHandler(config.get("image") or container_image(settings), container),
        retries=RetryMode.from_config(config["retries"]) or RetryMode.ENABLED,
        check_step_health_interval_seconds=_HEALTH_S,
        max_concurrent=config.get("max_concurrent") or settings.worker_count,
        tag_concurrency_limits=limits,
        step_dependency_config=StepDependencyConfig.from_config(config.get("step_dependency_config")),
    )


tagged_docker_executor: Final = dg.ExecutorDefinition(
    name="docker",
    config_schema=cast(Any, docker_executor.config_schema),
    requirements=docker_executor.get_requirements,
    executor_creation_fn=_create,
    description="Each step in a container of its own, placed by its tag dagster-docker/config.",
)
