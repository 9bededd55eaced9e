"""The purge as a job of its own, and its schedule: what terms or rules end goes within the hour."""

# Dagster reads the annotations of decorated functions: they are not postponed here.

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from pvm_assets.execution.run_termination import forget_old_partitions
from pvm_core.errors import PvmError
from pvm_resources.dagster_logs import quiet_console
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.connect import database_dsn
from pvm_resources.postgres.driver import Database
from pvm_resources.retention.orphans import remove_orphans
from pvm_resources.retention.purge import Purge, PurgeReport
from pvm_resources.settings import load_settings
from pvm_resources.store.retention import Retention
from pvm_resources.store.schedules import Schedules

#: Time between two purges of the schedule. Each looks this far ahead, so that nothing outlives its limit
#: between two of them.
_EVERY: Final = timedelta(hours=1)
#: Walking the whole media store is for a quiet hour, once a day.
_ORPHANS_AT: Final = 3


class PurgeConfig(dg.Config):
    """What one run purges.

    Attributes:
        ahead_h: hours it looks ahead: what is due by then goes now.
        orphans: files without a row go too.
        dry_run: only count.
    """

    ahead_h: float = 0.0
    orphans: bool = False
    dry_run: bool = False


@dg.op(name="purge_due", description="Deletes what a source's terms or a rule no longer allow to be kept.")
def purge_due(context: dg.OpExecutionContext, config: PurgeConfig) -> None:
    """One purge, with its counts as metadata.

    Raises:
        dagster.Failure: a file could not be deleted, or a store is out of reach; a later purge tries again.
    """
    settings = load_settings()
    media = MediaStore(settings.media)
    with Database(database_dsn(settings), max_connections=3) as database:
        try:
            now = Retention(database).now() + timedelta(hours=config.ahead_h)
            report = Purge(database, media, settings).run(now=now, dry_run=config.dry_run)
            forgotten = forget_old_partitions(
                context.instance, Schedules(database), settings.keep_partitions, dry_run=config.dry_run
            )
            orphans = (
                remove_orphans(database, media, datetime.now(UTC), dry_run=config.dry_run)
                if config.orphans
                else {}
            )
        except PvmError as error:
            raise dg.Failure(str(error), metadata={"code": error.code}, allow_retries=False) from error
    metadata = {
        **_metadata(report),
        **({"partitions": forgotten} if forgotten else {}),
        **{f"orphans/{folder}": count for folder, count in orphans.items()},
    }
    if report.failures:
        first = report.failures[0]
        raise dg.Failure(
            f"{len(report.failures)} files could not be deleted; the first: {first}",
            metadata={**metadata, "code": first.code},
            allow_retries=False,
        )
    context.add_output_metadata(metadata)


def _metadata(report: PurgeReport) -> dict[str, Any]:
    found = {
        f"{one.source}/{kind}": count for one in report.purged for kind, count in one.counts.items() if count
    }
    return found or {"purged": "nothing was due"}


@dg.job(
    name="pvm_purge",
    executor_def=dg.in_process_executor,
    description="Purges what sources' terms and the rule keep_videos_days no longer allow to be kept. "
    "What a running job works on is left alone.",
)
def pvm_purge() -> None:
    """One step."""
    purge_due()


@dg.schedule(
    job=pvm_purge,
    cron_schedule="17 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour; once a day with files that no row names.",
)
def hourly_purge(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """The run of this hour."""
    hour = context.scheduled_execution_time.hour
    config = PurgeConfig(ahead_h=_EVERY / timedelta(hours=1), orphans=hour == _ORPHANS_AT)
    console = quiet_console(load_settings().log_format)
    return dg.RunRequest(run_config=dg.RunConfig(ops={"purge_due": config}, **console))


JOBS: Final = (pvm_purge,)
