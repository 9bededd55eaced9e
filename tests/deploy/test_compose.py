"""Compose files, by the specification's own parser; what every service of the platform has in common."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import compose_spec
import pytest
import yaml

from pvm_resources.postgres.migrate import PGVECTOR_MIN, POSTGRES_MIN

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
_VARIABLE = re.compile(r"\$\{(\w+)(?::?([-?])([^}]*))?\}")


def _resolved(name: str) -> dict[str, Any]:
    """The file as Compose sees it, with a value for each variable that has no default."""
    text = (DEPLOY / name).read_text(encoding="utf-8")
    filled = _VARIABLE.sub(lambda found: found[3] if found[2] == "-" else "given", text)
    loaded: dict[str, Any] = yaml.safe_load(filled)
    return {key: value for key, value in loaded.items() if not key.startswith("x-")}


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml", "compose.attention.yaml"])
def test_the_specification_accepts_it(name: str) -> None:
    found = compose_spec.PyCompose.from_yaml(yaml.safe_dump(_resolved(name)))
    found.validate()
    assert sorted(found.service_names()) == sorted(_resolved(name)["services"])


def test_every_service_of_the_platform_is_confined_and_watched() -> None:
    compose = _resolved("compose.yaml")
    ours = {name: one for name, one in compose["services"].items() if "pvm" in one["image"].split("/")[-1]}
    ours = {name: one for name, one in ours.items() if one["image"].startswith("localhost/")}
    assert set(ours) == {
        "prepare", "code", "webserver", "daemon", "api", "relay", "consumer",
    }  # fmt: skip
    for name, one in ours.items():
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert one["healthcheck"] if name != "prepare" else one["restart"] == "no", name
    for name, one in compose["services"].items():
        for port in one.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name}: a proxy with TLS stands before what others reach"
    assert "deploy" not in compose["services"]["daemon"], "one daemon, not replicas of it"


def test_its_database_is_new_enough() -> None:
    image = _resolved("compose.yaml")["services"]["postgres"]["image"]
    found = re.search(r":(\d+)\.(\d+)\.(\d+)-pg(\d+)$", image)
    assert found
    vector, postgres = tuple(map(int, found.groups()[:3])), int(found[4])
    assert vector >= PGVECTOR_MIN
    assert postgres >= POSTGRES_MIN


def test_the_gpu_gets_the_image_that_is_built_for_it() -> None:
    code = _resolved("compose.gpu.yaml")["services"]["code"]
    assert "localhost/pvm-models:latest" in code["image"]
    (device,) = code["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    stages = re.findall(r"(?m)^FROM \S+ AS (\S+)", (DEPLOY / "images" / "Dockerfile").read_text())
    assert "models" in stages
    assert stages[-1] == "base", "what a build without a target makes"


def test_every_variable_is_explained() -> None:
    used = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text(encoding="utf-8")))
    shown = set(re.findall(r"(\w+)=", (DEPLOY / "compose.env.example").read_text(encoding="utf-8")))
    images = {"PVM_IMAGE", "PVM_GPU_IMAGE"}
    assert used - images - {"OTEL_EXPORTER_OTLP_ENDPOINT"} <= shown
    assert not [part for part in ("latest",) if re.search(rf"image: docker\S+:{part}", "\n".join(_images()))]


def _images() -> list[str]:
    return [f"image: {one['image']}" for one in _resolved("compose.yaml")["services"].values()]


def test_each_mounted_file_is_there() -> None:
    files = (_resolved(name) for name in ("compose.yaml", "compose.attention.yaml"))
    for one in (one for compose in files for one in compose["services"].values()):
        for volume in one.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).exists(), source
