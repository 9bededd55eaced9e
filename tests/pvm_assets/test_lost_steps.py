"""Steps whose worker ended before they did, and queues that no worker serves."""

# Dagster reads the annotations of decorated functions: they are not postponed here.

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.execution.plan.state import KnownExecutionState

from pvm_assets.execution.celery import wait_for_worker
from pvm_assets.execution.lost_steps import STARTS, check_starts, ended, step_events
from pvm_core.errors import StoreError

pytest.importorskip("dagster_celery")

from dagster_celery.make_app import make_app


@dg.op
def good() -> None:
    """Ends well."""


@dg.op
def bad() -> None:
    """Ends badly."""
    raise ValueError


@dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
def tried(context: dg.OpExecutionContext) -> None:
    """Ends well at the second attempt."""
    if not context.retry_number:
        raise ValueError


@dg.job
def steps() -> None:
    """Three steps that need nothing of each other."""
    good()
    bad()
    tried()


@pytest.fixture(scope="module")
def run() -> Iterator[tuple[dg.DagsterInstance, str]]:
    """A run of the three."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance, steps.execute_in_process(instance=instance, raise_on_error=False).run_id


def _until(events: list[dg.DagsterEvent], last: str) -> list[dg.DagsterEvent]:
    names = [event.event_type_value for event in events]
    return events[: names.index(last) + 1]


@pytest.mark.parametrize("step", ["good", "bad", "tried"])
def test_a_step_that_says_how_it_ended_has_ended(run: tuple[dg.DagsterInstance, str], step: str) -> None:
    events = step_events(*run, step)
    assert {event.step_key for event in events} == {step}
    assert ended(events, None, step)
    assert not ended(_until(events, "STEP_START"), None, step)


def test_a_step_up_for_another_attempt_has_ended_for_the_first_alone(
    run: tuple[dg.DagsterInstance, str],
) -> None:
    first = _until(step_events(*run, "tried"), "STEP_UP_FOR_RETRY")
    assert ended(first, KnownExecutionState(), "tried")
    assert not ended(first, KnownExecutionState(previous_retry_attempts={"tried": 1}), "tried")


def test_a_step_that_ended_its_worker_too_often_is_given_up(run: tuple[dg.DagsterInstance, str]) -> None:
    (start,) = [event for event in step_events(*run, "good") if event.event_type_value == "STEP_START"]
    check_starts([start] * (STARTS - 1), "good")
    with pytest.raises(StoreError, match="ended its worker 3 times") as given_up:
        check_starts([start] * STARTS, "good")
    assert given_up.value.code == "worker.died"


def test_each_attempt_has_its_own_starts(run: tuple[dg.DagsterInstance, str]) -> None:
    check_starts([*_until(step_events(*run, "tried"), "STEP_UP_FOR_RETRY")] * (STARTS + 1), "tried")


def test_a_queue_that_no_worker_serves_is_named() -> None:
    app = make_app({"broker": "memory://", "backend": "cache+memory://"})
    with pytest.raises(StoreError, match="queue gpu") as unserved:
        wait_for_worker(app, "gpu", patience_s=0)
    assert (unserved.value.code, unserved.value.retryable) == ("executor.unserved", True)
