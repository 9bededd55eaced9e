"""The API killed at random moments while requests come in: what it accepted is there, once."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from pvm_resources.postgres.driver import Database
from pvm_resources.store.api_keys import Keys
from tests.pvm_api.served import Served

_REQUESTS = 120


def _post(client: httpx.Client, key: str, number: int) -> str:
    """Posts until it is accepted, as a client that retries does; the job's id."""
    headers = {"X-API-Key": key, "Idempotency-Key": f"execution-{number}"}
    body = {"industry": f"industry {number % 7}", "products": ["ebay"], "videos": ["youtube"], "top": 5}
    deadline = time.monotonic() + 120
    while True:
        try:
            answer = client.post("/v1/jobs", json=body, headers=headers)
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
            continue
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.long)])
def test_what_was_accepted_is_there_once(
    database_url: str, database: Database, tmp_path: Path, kills: int
) -> None:
    key = Keys(database).create("n8n", ["run"])[1]
    api, moments = Served(database_url, tmp_path / "home"), random.Random(11)
    api.start()
    try:
        with httpx.Client(base_url=api.url, timeout=30) as client, ThreadPoolExecutor(6) as pool:
            answers = [pool.submit(_post, client, key, number) for number in range(_REQUESTS)]
            for _ in range(kills):
                done = sum(answer.done() for answer in answers)
                while sum(a.done() for a in answers) == done and not all(a.done() for a in answers):
                    time.sleep(0.01)
                time.sleep(moments.uniform(0.0, 0.2))
                api.kill()
                api.start()
            jobs = [answer.result() for answer in answers]
            again = [_post(client, key, number) for number in range(0, _REQUESTS, 10)]
    finally:
        api.kill()

    assert len(set(jobs)) == _REQUESTS
    assert again == jobs[::10]
    assert {row[0] for row in database.tuples("SELECT job_id FROM jobs")} == set(jobs)
    rows = database.tuples("SELECT job_id, count(*) FROM inbox GROUP BY job_id")
    assert dict(rows) == dict.fromkeys(jobs, 1)
