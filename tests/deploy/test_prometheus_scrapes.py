"""A real Prometheus with our configuration beside a real API: it is let in, evaluates every rule, and answers
what the dashboards ask."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from pvm_resources.postgres.driver import Database
from pvm_resources.store.api_keys import Keys
from tests.deploy.monitored import DEPLOY, expressions
from tests.pvm_api.served import Served, free_port


@pytest.fixture
def prometheus(database_url: str, tmp_path: Path) -> Iterator[httpx.Client]:
    """Prometheus, which scrapes an API every five seconds: a busy machine takes more than one to answer."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus: bash tools/servers.sh")
    with Database(database_url) as database:
        (tmp_path / "key").write_text(Keys(database).create("prometheus", ["read"])[1])
    with Served(database_url, tmp_path / "home") as api:
        config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "5s", "scrape_timeout": "5s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(DEPLOY / "prometheus" / "alerts.yaml")]
        (scraped,) = config["scrape_configs"]
        scraped["authorization"]["credentials_file"] = str(tmp_path / "key")
        scraped["static_configs"] = [{"targets": [f"127.0.0.1:{api.port}"]}]
        (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        port = free_port()
        command = [
            program,
            f"--config.file={tmp_path / 'prometheus.yaml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        with (
            subprocess.Popen(command, stderr=subprocess.DEVNULL) as process,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client,
        ):
            yield client
            process.kill()


def _soon(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not look():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.2)


def _answer(client: httpx.Client, path: str, **given: str) -> Any:
    """What Prometheus answers; None while it does not."""
    try:
        answer = client.get(f"/api/v1/{path}", params=given)
    except httpx.TransportError:
        return None
    return answer.json()["data"] if answer.status_code == 200 else None


def test_it_is_let_in_and_knows_every_rule_and_query(prometheus: httpx.Client) -> None:
    def up() -> bool:
        targets = (_answer(prometheus, "targets") or {}).get("activeTargets", [])
        return [one["health"] for one in targets] == ["up"]

    _soon(up)
    for one in expressions():
        assert _answer(prometheus, "query", query=one) is not None, one
    phases = _answer(prometheus, "query", query="phase_state")["result"]
    assert {one["metric"]["phase"] for one in phases} >= {"collection", "matching", "completed"}

    def evaluated() -> bool:
        (group,) = _answer(prometheus, "rules")["groups"]
        return all(rule["health"] == "ok" for rule in group["rules"])

    _soon(evaluated)

    def pending() -> set[str]:
        return {one["labels"]["alertname"] for one in _answer(prometheus, "alerts")["alerts"]}

    # This home has no Dagster: what would fire in two minutes waits already, and nothing else does.
    _soon(lambda: pending() == {"DatabaseDown"})
