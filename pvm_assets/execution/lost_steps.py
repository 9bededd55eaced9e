"""Steps whose container or worker ended before they did: whether they are finished, how often they start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import dagster as dg
from dagster._core.execution.plan.state import KnownExecutionState

from pvm_core.errors import StoreError

#: Containers or workers that an attempt at a step may use up: a fault of the machine passes, a step that ends
#: its process each time does not.
STARTS: Final = 3

_ENDS: Final = {dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE}


def step_events(instance: dg.DagsterInstance, run_id: str, step: str) -> list[dg.DagsterEvent]:
    """The step's events so far, oldest first."""
    logged = (entry for entry in instance.all_logs(run_id) if entry.step_key == step)
    return [entry.dagster_event for entry in logged if entry.dagster_event is not None]


def ended(events: Iterable[dg.DagsterEvent], known: KnownExecutionState | None, step: str) -> bool:
    """Whether the attempt at the step that `known` tells of has ended by its own account.

    Args:
        events: of the step.
    """
    types = [event.event_type for event in events]
    before = known.get_retry_state().get_attempt_count(step) if known is not None else 0
    return bool(_ENDS & {*types}) or types.count(dg.DagsterEventType.STEP_UP_FOR_RETRY) > before


def check_starts(events: Iterable[dg.DagsterEvent], step: str) -> None:
    """Checks that the present attempt at a step, which has not ended, may start once more.

    Args:
        events: of the step.

    Raises:
        StoreError: ``worker.died``.
    """
    started = 0
    for event in events:
        if event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY:
            started = 0
        started += event.event_type == dg.DagsterEventType.STEP_START
    if started >= STARTS:
        reason = f"it has ended its worker {started} times"
        raise StoreError("worker.died", f"the step {step}", reason, "See the worker's log and its memory")
