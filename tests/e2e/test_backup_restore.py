"""A finished job saved, its home gone, and everything back: results, evidence, Dagster's history."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from harness import Finished, Pvm, free_port, open_to_others

from pvm_resources.postgres.server import EmbeddedServer


@pytest.fixture(scope="module")
def restored(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pvm]:
    """Another home with what the finished job's home held."""
    folder = tmp_path_factory.mktemp("restored")
    saved = finished.pvm("backup", folder / "pvm.tar")
    assert saved.returncode == 0, saved.stderr
    assert "both databases and" in saved.stderr
    made = Pvm(folder / "home")
    done = made("restore", folder / "pvm.tar")
    assert done.returncode == 0, done.stderr
    yield made
    made.torn_down()


def _rows(pvm: Pvm, industry: str) -> list[dict[str, str]]:
    done = pvm("results", "--industry", industry, "--min-score", "0", "--format", "csv")
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def _runs(pvm: Pvm) -> list[tuple[str, ...]]:
    with EmbeddedServer(pvm.home) as server, psycopg.connect(server.uri("dagster")) as connection:
        return connection.execute("SELECT run_id, status, partition FROM runs ORDER BY 1").fetchall()


def test_results_evidence_and_history_are_the_same(finished: Finished, restored: Pvm) -> None:
    before, after = (_rows(pvm, finished.industry) for pvm in (finished.pvm, restored))
    assert before
    for old, new in zip(before, after, strict=True):
        here = old["evidence"].replace(str(finished.pvm.home), str(restored.home))
        assert new == {**old, "evidence": here}
        if here:
            assert Path(here).read_bytes() == Path(old["evidence"]).read_bytes()
    assert _runs(restored) == _runs(finished.pvm)
    assert open_to_others(restored.home) == []
    refused = restored("restore", restored.home.parent / "pvm.tar")
    assert refused.returncode == 2
    assert "[restore." in refused.stderr


@pytest.mark.long
def test_the_platform_starts_on_it_and_takes_the_same_job_again(finished: Finished, restored: Pvm) -> None:
    port = free_port()
    started = restored.cold("up", "--port", str(free_port()), "--api-port", str(port))
    assert started.returncode == 0, started.stderr
    assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
    running = restored("restore", restored.home.parent / "pvm.tar", "--force")
    assert running.returncode == 2
    assert "[restore.running]" in running.stderr
    again = restored.run(finished.case.products, finished.case.videos, finished.industry)
    assert again.returncode == 0, again.stderr
    assert "reused" in again.stderr
