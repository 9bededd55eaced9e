"""Fixtures: one n8n with the workflows of deploy/n8n, the started platform, a stand-in of its API."""

from __future__ import annotations

import copy
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.workflows import NAMES, load
from tests.e2e.tiny import Tiny, write_case
from tests.n8n.real_n8n import N8n, free_port
from tests.n8n.standin_api import KEY, StandInApi
from tests.n8n.started import Platform

_ROOT = Path(__file__).resolve().parents[2]
_CREDENTIAL = "Product-video matching"


@pytest.fixture(scope="session")
def tiny_case(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Four products; two of three clips show one of them."""
    return write_case(tmp_path_factory.mktemp("case"), products=4, clips=3)


@pytest.fixture(scope="session")
def fresh_n8n(tmp_path_factory: pytest.TempPathFactory) -> Iterator[N8n]:
    """An n8n of its own, not started yet."""
    install = Path(os.environ.get("PVM_N8N", _ROOT / ".n8n"))
    assert (install / "node_modules" / "n8n").is_dir(), f"no n8n in {install}: bash tools/n8n.sh"
    made = N8n(install, tmp_path_factory.mktemp("n8n"))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def started(
    fresh_n8n: N8n, tiny_case: Tiny, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Platform, str]]:
    """The platform and a key for it."""
    home = tmp_path_factory.mktemp("pvm") / "home"
    made = Platform(home, free_port(), f"localhost:{fresh_n8n.port}")
    try:
        yield made, made.up(tiny_case)
    finally:
        made.down()


@pytest.fixture(scope="session")
def standin() -> Iterator[StandInApi]:
    """The API as tests want it."""
    made = StandInApi()
    yield made
    made.close()


@pytest.fixture(scope="session")
def n8n(fresh_n8n: N8n, started: tuple[Platform, str], standin: StandInApi) -> N8n:
    """A started n8n: both workflows as shipped for the platform, and once more for the stand-in."""
    platform, key = started
    fresh_n8n.add_header_credentials({_CREDENTIAL: key, "the stand-in's": KEY, "a wrong one": "wrong"})
    workflows = [_set_up(name, platform.url) for name in NAMES]
    # An example in the shipped file; here it shows that n8n can fetch the proof.
    for workflow in workflows:
        _node(workflow, "Evidence picture")["disabled"] = False
    for name in NAMES:
        workflows.append(_other(_set_up(name, standin.url), "standin", "the stand-in's"))
        workflows.append(_other(_set_up(name, standin.url), "wrong", "a wrong one"))
    fresh_n8n.add_workflows(workflows)
    fresh_n8n.start()
    return fresh_n8n


def _set_up(name: str, base_url: str) -> dict[str, Any]:
    """The workflow with the address that a user sets in it, and shorter waits."""
    workflow: dict[str, Any] = copy.deepcopy(dict(load(name).content))
    values = {"base_url": base_url, "poll_seconds": 1, "max_polls": 240}
    for setting in _node(workflow, "Settings")["parameters"]["assignments"]["assignments"]:
        setting["value"] = values.get(setting["name"], setting["value"])
    return workflow


def _other(workflow: dict[str, Any], suffix: str, credential: str) -> dict[str, Any]:
    """A second copy beside the first: its own name, addresses and credential; it gives up sooner."""
    workflow["name"] += f" ({suffix})"
    for node in workflow["nodes"]:
        if "webhookId" in node:
            node["webhookId"] = str(uuid.uuid4())
        if "credentials" in node:
            node["credentials"]["httpHeaderAuth"]["name"] = credential
        if node.get("retryOnFail"):
            node["waitBetweenTries"] = 100
    _node(workflow, "Webhook")["parameters"]["path"] += f"-{suffix}"
    for setting in _node(workflow, "Settings")["parameters"]["assignments"]["assignments"]:
        if setting["name"] == "max_polls":
            setting["value"] = 3
    return workflow


def _node(workflow: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (node for node in workflow["nodes"] if node["name"] == name)
    return found  # type: ignore[no-any-return]
