"""Dashboards are what their code writes, and what Grafana's own SDK reads; their queries are valid."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.deploy.monitored import DEPLOY, expressions


def _build() -> ModuleType:
    spec = spec_from_file_location("grafana_build", DEPLOY / "grafana" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["platform", "service"])
def test_it_is_what_its_code_writes_and_grafana_reads(name: str) -> None:
    committed = (DEPLOY / "grafana" / "dashboards" / f"{name}.json").read_text(encoding="utf-8")
    assert committed == _build().built(name), "python deploy/grafana/build.py"
    register_default_plugins()
    given: dict[str, Any] = json.loads(committed)
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(given)))
    assert read == given, "nothing in it that Grafana's schema has not"
    positions = [tuple(panel["gridPos"].values()) for panel in given["panels"]]
    assert len(set(positions)) == len(positions)


def test_every_expression_is_one_of_prometheus(tmp_path: Path) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("no promtool: bash tools/servers.sh")
    rules = [{"record": f"expression:{n}", "expr": one} for n, one in enumerate(expressions())]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run([tool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout
