"""What containers of steps and runs are given. Real containers: tests/e2e/test_executors.py."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pvm_core.errors import InputError
from pvm_resources.gpu import GPU
from pvm_resources.settings import load_settings

pytest.importorskip("dagster_docker")

from dagster._core.instance.ref import InstanceRef
from dagster_docker import DockerRunLauncher
from dagster_docker.container_context import DockerContainerContext

from pvm_assets.execution.bootstrap import link_dagster_home, write_dagster_home
from pvm_assets.execution.containers import docker_launcher
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


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Settings of containers; the home they are for."""
    given = {
        "PVM_HOME": str(tmp_path / "home"), "PVM_DATABASE_URL": "postgresql://u:secret@db/pvm",
        "DAGSTER_PG_URL": "postgresql://u:secret@db/dagster", "PVM_DOCKER_IMAGE": "pvm:1",
        "PVM_DOCKER_NETWORKS": "one, two", "PVM_RUN_LAUNCHER": "docker", "PVM_DOCKER_ENV": "ITS_OWN",
        "ITS_OWN": "value",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "home"


def test_runs_in_containers_are_a_file_that_dagster_reads_and_that_holds_no_secret(containers: Path) -> None:
    write_dagster_home(load_settings())
    file = containers / "dagster" / "dagster.yaml"
    assert "secret" not in file.read_text()
    ref = InstanceRef.from_dir(str(file.parent))
    launcher = ref.run_launcher
    assert isinstance(launcher, DockerRunLauncher)
    assert (launcher.image, launcher.networks) == ("pvm:1", ["one", "two"])
    assert launcher.container_kwargs["volumes"] == [f"{containers}:{containers}"]
    assert {"PVM_HOME", "PVM_DATABASE_URL", "DAGSTER_PG_URL", "DAGSTER_HOME", "ITS_OWN"} <= {
        *launcher.env_vars
    }


def test_the_file_follows_the_setting_and_one_of_ones_own_is_kept(containers: Path) -> None:
    file = containers / "dagster" / "dagster.yaml"
    write_dagster_home(load_settings())
    link_dagster_home(file.parent)
    assert file.is_symlink()
    write_dagster_home(load_settings())
    assert not file.is_symlink()
    file.write_text("telemetry: {enabled: false}\n")
    write_dagster_home(load_settings())
    link_dagster_home(file.parent)
    assert file.read_text() == "telemetry: {enabled: false}\n"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PVM_DOCKER_IMAGE", "", "no image is named"),
        ("PVM_DATABASE_URL", "host=/run/pg dbname=pvm", "behind a socket"),
        ("PVM_DOCKER_ENV", "NOT_THERE", "NOT_THERE, which is not set"),
    ],
)
def test_what_containers_lack_is_said_before_they_start(
    containers: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=told) as refused:
        docker_launcher(load_settings())
    assert (refused.value.code, refused.value.subject) == ("executor.docker", name)
