"""Docker steps placed one by one: the stock handler knows one container configuration for all steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

import dagster as dg
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig
from dagster._core.executor.base import Executor
from dagster._core.executor.init import InitExecutorContext
from dagster._core.executor.step_delegating import StepDelegatingExecutor
from dagster._core.executor.step_delegating.step_handler.base import StepHandlerContext
from dagster_docker import docker_executor
from dagster_docker.container_context import DockerContainerContext
from dagster_docker.docker_executor import DockerStepHandler

#: A step's own container configuration: ``image`` and the fields of Dagster's docker container context.
DOCKER_TAG: Final = "dagster-docker/config"


def step_docker_config(context: StepHandlerContext) -> dict[str, Any]:
    """The step's tag, parsed; {} where it has none; a dict in `op_tags` reaches a step as JSON text."""
    keys = context.execute_step_args.step_keys_to_execute or []
    raw = context.step_tags.get(keys[0], {}).get(DOCKER_TAG) if keys else None
    if raw is None:
        return {}
    parsed: dict[str, Any] = json.loads(raw) if isinstance(raw, str) else dict(raw)
    return parsed


class TaggedDockerStepHandler(DockerStepHandler):
    """`DockerStepHandler` that merges a step's ``dagster-docker/config`` over the run's configuration."""

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


def _create(init_context: InitExecutorContext) -> Executor:
    """Each step in a container of its own, placed by its ``dagster-docker/config`` tag."""
    config: Mapping[str, Any] = init_context.executor_config
    networks = config.get("networks") or ([config["network"]] if config.get("network") else [])
    container = DockerContainerContext(
        registry=config.get("registry"),
        env_vars=list(config.get("env_vars") or []),
        networks=list(networks),
        container_kwargs=dict(config.get("container_kwargs") or {}),
    )
    limits: Any = config.get("tag_concurrency_limits")
    return StepDelegatingExecutor(
        TaggedDockerStepHandler(config.get("image"), container),
        retries=RetryMode.from_config(config["retries"]) or RetryMode.ENABLED,
        max_concurrent=config.get("max_concurrent"),
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
