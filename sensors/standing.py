"""Industries that are run again on a cadence."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg

from pvm_assets.jobs import JOB_NAME
from pvm_core.errors import InputError
from pvm_jobs.request import JobRequest
from pvm_resources.settings import Settings, load_settings
from pvm_resources.sources.admission import complete_request
from pvm_resources.store.assembly import Store
from sensors.open_store import open_store


@dg.schedule(
    job_name=JOB_NAME,
    name="standing_industries",
    cron_schedule="*/5 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Industries with standing sources and a cadence are run again when their time has come.",
)
def standing_industries(context: dg.ScheduleEvaluationContext) -> dg.SkipReason:
    """Orders what is due; the sensor `inbox` starts it."""
    with open_store() as store:
        ordered = order_due(store, load_settings(), context.log.warning)
        store.inbox.prune()
    return dg.SkipReason(f"{len(ordered)} industries are due" + "".join(f"; job {job}" for job in ordered))


def order_due(store: Store, settings: Settings, warn: Callable[[str], None]) -> list[str]:
    """A job and the order to run it for every industry that is due; returns the new jobs' ids."""
    found = []
    for due in store.schedules.due():
        try:
            request = complete_request(JobRequest(), store.industries.get(due.slug), settings)
        except InputError as error:
            warn(f"{due.slug} is due, and cannot be run: {error}")
            continue
        job, new = store.inbox.submit(due.slug, request.to_json(), "schedule", event_id=due.event_id)
        if new:
            found.append(job)
    return found
