"""The client of the documentation against a real server."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from pvm_api.models import Result
from pvm_resources.postgres.driver import Database
from pvm_resources.store.api_keys import Keys
from pvm_resources.store.assembly import Store
from tests.pvm_api.served import Served
from tests.pvm_resources import world

_FILE = Path(__file__).resolve().parents[2] / "docs" / "client.py"


def test_it_starts_a_job_waits_and_reads_results(repos: Store, database: Database, tmp_path: Path) -> None:
    documented: dict[str, Any] = runpy.run_path(str(_FILE))
    made = world.make(repos, job_id="job-1")
    world.write(repos, made)
    key = Keys(database).create("client", ["run"])[1]
    assert set(documented["Match"].__annotations__) <= set(Result.model_fields)
    with Served(database.dsn, tmp_path / "home") as api:
        client = documented["Client"](api.url, key)
        status_url = client.start("giày", ["https://shop.example/a.csv"], ["youtube"])
        repos.inbox.cancel(status_url.rpartition("/")[2], "test")
        assert client.wait(status_url, every_s=0.1) == "cancelled"
        assert client.wait(f"{api.url}/v1/jobs/job-1") == "completed"
        matches = list(client.results(made.industry.slug))
        assert [match["product"] for match in matches] == ["P0"]
        with pytest.raises(documented["RefusedError"], match=r"industry\.unknown"):
            list(client.results("nothing"))
