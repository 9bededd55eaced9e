"""Callbacks to n8n: the delivery as it ships against a stand-in of n8n's resume endpoint."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from pvm_jobs import contracts
from pvm_jobs.delivery_policy import CONFLICTS_S
from pvm_jobs.events import Event
from pvm_resources.events.relay import Relay
from pvm_resources.events.wiring import make_relay
from pvm_resources.postgres.driver import Database, Statement
from pvm_resources.settings import load_settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.deliveries import Deliveries
from pvm_resources.store.job_changes import outbox_write
from tests.deploy.resume_endpoint import ResumeEndpoint

#: Characters that a parser would write in another way if it took the address apart.
SIGNATURE = "?signature=a%2Fb+c%3d==&x=%7E~"


@pytest.fixture
def n8n() -> Iterator[ResumeEndpoint]:
    """n8n's resume endpoint."""
    made = ResumeEndpoint()
    yield made
    made.close()


@pytest.fixture
def deliveries(database: Database) -> Deliveries:
    """What was delivered."""
    return Deliveries(database)


def _relay(database: Database, allowed: str) -> Relay:
    settings = load_settings(database_url=database.dsn, callback_allow=allowed, webhook_url="", bus_url=None)
    return make_relay(settings, database)


def _ended_job(database: Database, callback_url: str, how: str = "job.completed") -> str:
    repos = Store.over(database)
    slug = repos.industries.ensure("gối công thái học").slug
    job = repos.jobs.create(slug, {"callback_url": callback_url}).job_id
    # Not the last word of a job, so none of n8n's business.
    database.commit(outbox_write([Event(job, "matchings.process.completed"), Event(job, how)]))
    return job


def _hurry(database: Database) -> None:
    """What waits for a later attempt is due now."""
    database.commit(Statement("UPDATE delivery_streams SET next_attempt_at = now()"))


def test_a_callback_resumes_its_execution_once_after_conflicts(
    database: Database, deliveries: Deliveries, n8n: ResumeEndpoint
) -> None:
    url, execution = n8n.execution(17, busy=2, query=SIGNATURE)
    relay = _relay(database, f"127.0.0.1:{n8n.port}")
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        job = _ended_job(database, url)
        deadline = time.monotonic() + 30
        while not execution.resumed and time.monotonic() < deadline:
            time.sleep(0.05)
        # Whatever else were to be sent would come within the first waits of the schedule.
        time.sleep(CONFLICTS_S[0] + 0.5)
    finally:
        relay.stop()
        thread.join(30)
    assert execution.answers == [409, 409, 200]
    (body,) = execution.resumed
    assert body["type"] == "job.completed"
    assert body["data"]["job_id"] == job
    contracts.validate(body["type"], body["data"])
    (delivery,) = deliveries.listed()
    assert (delivery.state, delivery.conflicts, delivery.attempts) == ("delivered", 2, 1)
    assert delivery.url == url


@pytest.mark.parametrize("how", ["job.failed", "job.cancelled"])
def test_a_job_without_results_resumes_the_execution_too(
    database: Database, deliveries: Deliveries, n8n: ResumeEndpoint, how: str
) -> None:
    url, execution = n8n.execution(17)
    _ended_job(database, url, how)
    _relay(database, f"127.0.0.1:{n8n.port}").drain()
    assert [body["type"] for body in execution.resumed] == [how]


def test_an_execution_that_is_stored_by_half_is_called_again(
    database: Database, deliveries: Deliveries, n8n: ResumeEndpoint
) -> None:
    url, execution = n8n.execution(17, busy=1, torn=1)
    _ended_job(database, url)
    relay = _relay(database, f"127.0.0.1:{n8n.port}")
    for _ in range(4):
        _hurry(database)
        relay.drain()
    assert execution.answers == [409, 500, 200]
    assert len(execution.resumed) == 1
    (delivery,) = deliveries.listed()
    assert (delivery.state, delivery.conflicts, delivery.attempts) == ("delivered", 1, 2)


def test_an_execution_that_has_ended_is_left_alone_in_the_end(
    database: Database, deliveries: Deliveries, n8n: ResumeEndpoint
) -> None:
    url, execution = n8n.execution(17)
    execution.resumed.append("by hand")
    _ended_job(database, url)
    relay = _relay(database, f"127.0.0.1:{n8n.port}")
    for _ in range(len(CONFLICTS_S) + 3):
        _hurry(database)
        relay.drain()
    assert execution.answers == [409] * (len(CONFLICTS_S) + 1)
    assert execution.resumed == ["by hand"]
    assert [one.state for one in deliveries.listed()] == ["dead"]


def test_an_address_of_ones_own_network_must_be_allowed(
    database: Database, deliveries: Deliveries, n8n: ResumeEndpoint
) -> None:
    url, execution = n8n.execution(17)
    _ended_job(database, url)
    _relay(database, "localhost:1").drain()
    assert execution.answers == []
    (delivery,) = deliveries.listed()
    assert delivery.state == "dead"
    assert "[fetch." in str(delivery.last_error)
