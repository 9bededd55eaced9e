"""Industries that are run again by themselves."""

from __future__ import annotations

import dagster as dg

from pvm_assets.jobs import JOB_NAME
from pvm_core.errors import InputError
from pvm_jobs.request import JobRequest
from pvm_resources.intake import complete_request
from pvm_resources.postgres.connect import database_dsn
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings, load_settings
from pvm_resources.store.inbox import Inbox
from pvm_resources.store.industries import Industries
from pvm_resources.store.schedules import Schedules


@dg.schedule(
    job_name=JOB_NAME,
    name="standing_industries",
    cron_schedule="*/5 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Industries with standing sources and a cadence are run again when their time has come.",
)
def standing_industries(context: dg.ScheduleEvaluationContext) -> dg.SkipReason:
    """Orders what is due; the sensor `inbox` starts it."""
    settings = load_settings()
    with Database(database_dsn(settings), max_connections=2) as database:
        ordered = order_due(database, settings, context.log.warning)
        Inbox(database).prune()
    return dg.SkipReason(f"{len(ordered)} industries are due" + "".join(f"; job {job}" for job in ordered))


def order_due(database: Database, settings: Settings, warn: object = None) -> list[str]:
    """A job and the order to run it for every industry that is due; returns the new jobs' ids."""
    industries, inbox = Industries(database), Inbox(database)
    found = []
    for due in Schedules(database).due():
        try:
            request = complete_request(JobRequest(), industries.get(due.slug), settings)
        except InputError as error:
            if callable(warn):
                warn(f"{due.slug} is due, and cannot be run: {error}")
            continue
        job, new = inbox.submit(due.slug, request.to_json(), "schedule", event_id=due.event_id)
        if new:
            found.append(job)
    return found
