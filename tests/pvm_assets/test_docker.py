"""The docker step handler: a step's own tag over the run's configuration, against stub contexts."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from pvm_resources.gpu import GPU

pytest.importorskip("dagster_docker")

from dagster_docker.container_context import DockerContainerContext

from pvm_assets.execution.docker import DOCKER_TAG, TaggedDockerStepHandler, step_docker_config


def _context(tags: dict[str, str], location_image: str | None = None) -> Any:
    origin = SimpleNamespace(
        repository_origin=SimpleNamespace(container_image=location_image, container_context=None)
    )
    return SimpleNamespace(
        execute_step_args=SimpleNamespace(step_keys_to_execute=["embeddings"], run_id="r", known_state=None),
        step_tags={"embeddings": tags},
        dagster_run=SimpleNamespace(job_code_origin=origin),
        instance=SimpleNamespace(run_launcher=None),
    )


def _handler(**kwargs: Any) -> TaggedDockerStepHandler:
    container = DockerContainerContext(None, ["HOME"], ["pvm"], {"mem_limit": "2g", **kwargs})
    return TaggedDockerStepHandler("cpu:1", container)


def test_the_gpu_constant_reaches_the_container() -> None:
    tag = json.dumps(GPU["op_tags"][DOCKER_TAG])
    merged = _handler()._get_docker_container_context(_context({DOCKER_TAG: tag}))
    assert merged.container_kwargs["device_requests"][0]["capabilities"] == [["gpu"]]
    assert merged.container_kwargs["mem_limit"] == "2g"
    assert merged.networks == ["pvm"]


def test_a_step_without_the_tag_keeps_the_runs_configuration() -> None:
    merged = _handler()._get_docker_container_context(_context({}))
    assert merged.container_kwargs == {"mem_limit": "2g"}


@pytest.mark.parametrize("image", [None, "location:1"])
def test_a_steps_own_image_wins(image: str | None) -> None:
    tag = json.dumps({"image": "gpu:1"})
    assert _handler()._get_image(_context({DOCKER_TAG: tag}, image)) == "gpu:1"
    assert _handler()._get_image(_context({}, image)) == (image or "cpu:1")


def test_the_tag_may_be_text_or_a_mapping() -> None:
    assert step_docker_config(_context({DOCKER_TAG: '{"image": "a"}'})) == {"image": "a"}
    assert step_docker_config(_context({DOCKER_TAG: {"image": "a"}})) == {"image": "a"}  # type: ignore[dict-item]
    assert step_docker_config(_context({})) == {}
