"""From one POST through a real daemon to results with their proof; a killed daemon loses nothing."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import tiny
from harness import Pvm, Started, open_to_others

from pvm_assets.jobs import JOB_NAME
from pvm_resources.postgres.server import EmbeddedServer

_PHASES = ["collection", "feature_extraction", "matching", "evidence", "completed"]
#: Generous: the suite shares its cores. What an idle machine does, bench/bench_start.py measures.
_PATIENCE_S = 240.0


@dataclass(frozen=True)
class Platform:
    """A started platform and a caller who may run jobs."""

    pvm: Pvm
    case: tiny.Tiny
    client: httpx.Client

    def body(self, industry: str, case: tiny.Tiny | None = None) -> dict[str, Any]:
        """A job over the tiny case, or over another below its folder."""
        case = case or self.case
        return {"industry": industry, "products": [str(case.products)], "videos": [str(case.videos)]}

    def start(self, industry: str, case: tiny.Tiny | None = None) -> str:
        """Posts a job; returns its id."""
        answer = self.client.post("/orchestrator/start-job", json=self.body(industry, case))
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    def status(self, job: str) -> dict[str, Any]:
        """How the job goes."""
        found: dict[str, Any] = self.client.get(f"/status/{job}").raise_for_status().json()
        return found

    def states(self) -> dict[str, str]:
        """Status of every job, in one request: a caller's requests are counted."""
        items = self.client.get("/v1/jobs?limit=200").raise_for_status().json()["items"]
        return {job["job_id"]: job["status"] for job in items}


@pytest.fixture(scope="module")
def platform(started: Started) -> Iterator[Platform]:
    """The started platform, a key and a tiny case in a folder that callers may name."""
    case = tiny.write_case(started.folder / "case", products=3, clips=2)
    made = started.pvm("keys", "create", "n8n", "--scope", "run")
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    base = f"http://127.0.0.1:{started.api_port}"
    with httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=30) as client:
        yield Platform(started.pvm, case, client)


def test_one_post_ends_in_matches_with_their_proof(platform: Platform) -> None:
    industry = "gối công thái học"
    job = platform.start(industry)
    phases: list[str] = []
    _until(lambda: _note(phases, platform.status(job)) in ("completed", "failed", "cancelled"))
    status = platform.status(job)
    assert status["status"] == "completed", status["error"]
    assert status["percent"] == 100
    assert phases == [phase for phase in _PHASES if phase in phases]
    first = platform.client.get(f"/v1/jobs/{job}/events?limit=1").json()["items"][0]
    seconds = _seconds(status["created_at"], first["created_at"])
    print(f"first data {seconds:.1f} s after the request")
    assert seconds < _PATIENCE_S / 4

    rows = platform.client.get("/results", params={"industry": industry, "min_score": 0.8}).json()["items"]
    assert {(row["video"], row["product"]) for row in rows} == set(platform.case.shown.items())
    picture = platform.client.get(rows[0]["evidence_url"])
    assert picture.headers["content-type"] == "image/jpeg"
    assert len(picture.content) > 5_000


def test_lines_of_runs_that_the_daemon_launched_are_json(platform: Platform) -> None:
    logs = [platform.pvm.home / "logs" / f"{name}.log" for name in ("daemon", "code", "webserver")]
    lines = [line for log in logs for line in log.read_text(encoding="utf-8").splitlines()]
    parsed = [json.loads(line) for line in lines if line.startswith("{")]
    of_runs = [line for line in parsed if line.get("job_name") == JOB_NAME]
    events = {line.get("event") for line in of_runs}
    assert {"RUN_START", "STEP_START", "STEP_SUCCESS", "RUN_SUCCESS"} <= events, events
    assert all({"time", "level", "logger", "message", "run_id"} <= line.keys() for line in of_runs)
    assert "matches" in {line.get("step") for line in of_runs}
    assert not [line for line in lines if " - dagster - " in line], "none in Dagster's own form"


def test_other_users_of_the_machine_see_nothing_of_it(platform: Platform) -> None:
    uploaded = platform.client.post(
        "/v1/uploads?filename=products.csv", content=platform.case.products.read_bytes()
    )
    assert uploaded.status_code == 201, uploaded.text
    home = platform.pvm.home
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {"dagster", "logs", "media", "uploads"} <= {path.name for path in home.iterdir()}
    assert open_to_others(home) == []
    status = EmbeddedServer(home).status()
    assert stat.S_IMODE(status.socket_dir.stat().st_mode) == 0o700
    services = [json.loads(path.read_text())["pid"] for path in (home / "run").glob("*.json")]
    for pid in (*services, status.pid):
        assert "Umask:\t0077" in Path(f"/proc/{pid}/status").read_text()


def test_a_running_job_is_cancelled_and_deleted(platform: Platform) -> None:
    # Work enough for the order to arrive before the end.
    case = tiny.write_case(platform.case.products.parent / "more", products=6, clips=2)
    tiny.write_copies(case, 38)
    job = platform.start("giày", case)
    _until(lambda: platform.status(job)["status"] == "running")
    assert platform.client.post(f"/v1/jobs/{job}/cancel").status_code == 202
    _until(lambda: platform.status(job)["status"] != "running")
    assert platform.status(job)["status"] == "cancelled"
    assert f"giay@{job}" in _partitions(platform.pvm)
    assert platform.client.delete(f"/v1/jobs/{job}").status_code == 204
    _until(lambda: f"giay@{job}" not in _partitions(platform.pvm))
    assert platform.client.get(f"/status/{job}").status_code == 404


@pytest.mark.long
@pytest.mark.timeout(1_500)
def test_twenty_jobs_and_a_killed_daemon(platform: Platform, started: Started) -> None:
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda n: platform.start(f"ngành {n % 10}"), range(20)))
    _until(lambda: "running" in platform.states().values())
    daemon = json.loads((platform.pvm.home / "run" / "daemon.json").read_text())["pid"]
    os.kill(daemon, signal.SIGKILL)
    time.sleep(5)
    started.up()
    ended: dict[str, str] = {}

    def all_ended() -> bool:
        ended.update(platform.states())
        return not {"queued", "running"} & {ended[job] for job in jobs}

    _until(all_ended, 1_200)
    assert Counter(ended[job] for job in jobs) == {"completed": 20}
    for job in jobs:
        events = platform.client.get(f"/v1/jobs/{job}/events?limit=200").json()["items"]
        names = Counter(event["name"] for event in events if event["name"].endswith(".completed"))
        assert set(names.values()) == {1}
        assert names["job.completed"] == 1
    runs = _successes(platform.pvm)
    assert {runs[job] for job in jobs} == {1}


def _note(phases: list[str], status: dict[str, Any]) -> str:
    if status["phase"] not in phases:
        phases.append(status["phase"])
    return str(status["status"])


def _until(done: Callable[[], bool], seconds: float = _PATIENCE_S) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.3)


def _seconds(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def _partitions(pvm: Pvm) -> set[str]:
    with psycopg.connect(EmbeddedServer(pvm.home).uri("dagster")) as connection:
        return {row[0] for row in connection.execute("SELECT partition FROM dynamic_partitions")}


def _successes(pvm: Pvm) -> Counter[str]:
    """Runs that succeeded, by job."""
    query = (
        "SELECT t.value FROM runs r JOIN run_tags t USING (run_id) "
        "WHERE t.key = 'pvm/job' AND r.status = 'SUCCESS'"
    )
    with psycopg.connect(EmbeddedServer(pvm.home).uri("dagster")) as connection:
        return Counter(row[0] for row in connection.execute(query))
