"""The living catalogue in Dagster: micro-batches of what changed; an industry is run by name."""

# Dagster reads the annotations of decorated functions: they are not postponed here.

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Final

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from pvm_assets.industry.asset import INDUSTRY_PARTITIONS, PARTITIONS_NAME
from pvm_assets.jobs import INDUSTRY_JOB_NAME
from pvm_core.errors import PvmError, StoreError
from pvm_core.ids import ROOT
from pvm_jobs.request import JobRequest
from pvm_resources.dagster_logs import quiet_console
from pvm_resources.settings import load_settings
from pvm_resources.sources.admission import complete_request
from pvm_resources.sources.registry import STORED
from pvm_resources.store.assembly import Store
from pvm_resources.text_index import TextIndex
from pvm_resources.tracing import Tracing
from sensors.open_store import open_store

#: Seconds of one tick; industries that it does not reach are the first of the next one.
_BUDGET_S: Final = 5.0
#: Runs that one tick starts.
_RUNS: Final = 5


@dg.sensor(
    job_name=INDUSTRY_JOB_NAME,
    name="catalogue",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Industries whose products changed, or that completed a job, are materialised: one run for "
    "all that changed since the last, never one for each change.",
)
def catalogue(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """One tick. The cursor holds what each industry looked like when its run was requested."""
    with open_store() as store:
        try:
            for job in order_pictures(store):
                context.log.info(f"job {job} matches pictures that changes named")
            found = dict(Changed(store, context.instance, read_cursor(context.cursor)).look())
        except StoreError as error:
            return dg.SkipReason(str(error))
    if not found:
        return dg.SkipReason("nothing changed")
    seen = {**read_cursor(context.cursor), **found}
    known = set(context.instance.get_dynamic_partitions(PARTITIONS_NAME))
    config = quiet_console(load_settings().log_format)
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(partition_key=slug, tags={"pvm/catalogue": "1"}, run_config=config)
            for slug in found
        ],
        dynamic_partitions_requests=[INDUSTRY_PARTITIONS.build_add_request(sorted(found.keys() - known))],
        cursor=json.dumps(seen, sort_keys=True),
    )


def read_cursor(cursor: str | None) -> dict[str, str]:
    """Industry -> what it looked like; one that cannot be read is as none, and all are looked at again."""
    try:
        found = json.loads(cursor) if cursor else {}
    except ValueError:
        return {}
    return {str(slug): str(state) for slug, state in found.items()} if isinstance(found, Mapping) else {}


class Changed:
    """Finds the industries to materialise.

    Args:
        seen: what each looked like when a run was last requested for it.
    """

    def __init__(self, store: Store, instance: dg.DagsterInstance, seen: Mapping[str, str]) -> None:
        self._store = store
        self._instance = instance
        self._seen = seen

    def look(self) -> Iterator[tuple[str, str]]:
        """Industries and what they look like now, within the time and the number of runs of a tick."""
        began = time.monotonic()
        index = TextIndex(self._store, load_settings())
        index.serving()
        keys = [row.model_key for row in self._store.text_vectors.models()]
        waiting = self._store.text_vectors.waiting(keys)
        completed = self._store.schedules.last_completed()
        busy = self._busy()
        started = 0
        for slug in sorted(waiting.keys() | completed.keys(), key=lambda one: (one in self._seen, one)):
            if time.monotonic() - began > _BUDGET_S or started >= _RUNS:
                return
            state = f"{completed.get(slug, '')}/{waiting.get(slug, (0, ''))[1]}"
            if slug not in busy and state != self._seen.get(slug) and self._news(slug, state, waiting):
                started += 1
                yield slug, state

    def _news(self, slug: str, state: str, waiting: Mapping[str, tuple[int, str]]) -> bool:
        """Whether something is to be done: products without a vector, or a job that none has seen yet."""
        job, before = state.partition("/")[0], self._seen.get(slug, "").partition("/")[0]
        return slug in waiting or job != before

    def _busy(self) -> set[str]:
        """Industries that a run works on or waits for: what comes meanwhile is its successor's."""
        runs = self._instance.get_runs(
            dg.RunsFilter(job_name=INDUSTRY_JOB_NAME, statuses=NOT_FINISHED_STATUSES)
        )
        return {run.tags.get("dagster/partition", "") for run in runs}


def order_pictures(store: Store) -> list[str]:
    """Orders a job for every industry of whose products changes named pictures that no job has read: its
    stored products against its stored videos, so nothing is crawled. Each set of pictures is ordered once,
    whatever comes of it. Returns the new jobs' ids."""
    request = JobRequest(products=(STORED,), videos=(STORED,)).to_json()
    found = []
    for slug, pictures in store.stored_material.unmatched_pictures().items():
        event = uuid.uuid5(ROOT, f"pictures|{slug}|{pictures}")
        job, new = store.inbox.submit(slug, request, "schedule", event_id=event)
        if new:
            found.append(job)
    return found


class IndustryConfig(dg.Config):
    """What `run_industry` starts.

    Attributes:
        industry: name or slug.
    """

    industry: str


@dg.op(name="start_standing_sources", description="Orders a job of the industry's standing sources.")
def start_standing_sources(context: dg.OpExecutionContext, config: IndustryConfig) -> None:
    """Orders a job; the sensor `inbox` starts it as a partition of its own.

    Raises:
        dagster.Failure: there is no such industry, or it has no standing sources.
    """
    settings = load_settings()
    tracing = Tracing.of(settings, "pvm-run")
    attributes = {"pvm.industry": config.industry, "dagster.run_id": context.run_id}
    with (
        open_store() as store,
        closing(tracing),
        tracing.span(f"run {context.job_name}", attributes=attributes) as span,
    ):
        try:
            industry = store.industries.get(config.industry)
            request = complete_request(JobRequest(), industry, settings)
            job, _ = store.inbox.submit(industry.slug, request.to_json(), "schedule")
            if span.traceparent is not None:
                store.job_traces.begin(job, span.traceparent)
        except PvmError as error:
            raise dg.Failure(str(error), metadata={"code": error.code}, allow_retries=False) from error
        partition = store.jobs.get(job).partition_key
    context.log.info(f"job {job} is ordered")
    context.add_output_metadata({"job": job, "partition": partition})


@dg.job(
    name="run_industry",
    executor_def=dg.in_process_executor,
    description="Starts a job of an industry's standing sources. Name the industry in the launchpad: "
    "`ops: {start_standing_sources: {config: {industry: yoga-mats}}}`.",
)
def run_industry() -> None:
    """One step."""
    start_standing_sources()


JOBS: Final = (run_industry,)
