"""The trace of a run, of a job or an industry: a span for the run, one for each step. The run worker sees
every step's events whatever executor runs it, so no step knows of traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg
from dagster import DagsterEventType

from pvm_assets.run_tags import PARTITION_TAG
from pvm_resources.settings import Settings
from pvm_resources.store.job_traces import JobTraces
from pvm_resources.tracing import Span, Tracing

Watch = Callable[[dg.DagsterEvent], None]
_ENDS = {
    DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_SKIPPED,
    DagsterEventType.STEP_UP_FOR_RETRY,
}  # fmt: skip
_BEGINS = {DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED}


@contextmanager
def traced_run(
    settings: Settings, run: dg.DagsterRun, watch: Watch, job: tuple[JobTraces, str] | None = None
) -> Iterator[Watch]:
    """A span around the run, child of the request's where one began the job's trace.

    Args:
        watch: called with every event.
        job: traces, and the job whose run it is; None: it is an industry's, and a trace of its own.

    Yields:
        `watch`, which begins and ends the spans of steps as well where traces are on.
    """
    tracing = Tracing.of(settings, "pvm-run")
    if not tracing.on:
        yield watch
        return
    steps: dict[str, Span] = {}
    try:
        began = job[0].of(job[1]) if job else None
        own = {"pvm.job_id": job[1]} if job else {"pvm.industry": run.tags.get(PARTITION_TAG, "")}
        attributes = {**own, "dagster.run_id": run.run_id}
        with tracing.span(f"run {run.job_name}", parent=began, attributes=attributes) as whole:
            parent = whole.traceparent
            assert parent is not None
            if job:
                job[0].begin(job[1], parent)

            def noting(event: dg.DagsterEvent) -> None:
                watch(event)
                _note(tracing, steps, parent, event)

            yield noting
            for left in steps.values():
                left.end()
    finally:
        tracing.close()


def _note(tracing: Tracing, steps: dict[str, Span], parent: str, event: dg.DagsterEvent) -> None:
    key = event.step_key
    if key is None:
        return
    if event.event_type in _BEGINS:
        steps[key] = tracing.begin(f"step {key}", parent=parent, attributes={"dagster.step": key})
    elif event.event_type in _ENDS and key in steps:
        span = steps.pop(key)
        if event.event_type is not DagsterEventType.STEP_SUCCESS:
            span.fail(event.event_type.name)
        span.end()
