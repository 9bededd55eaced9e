"""What assets and checks work with: settings, database, media store, worker processes."""

# Dagster reads the annotations of resources as the class is made: they are not postponed here.

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import PrivateAttr

from pvm_core.errors import InputError
from pvm_core.rules import Rules
from pvm_jobs.job_ids import PARTITION_FORM, split_partition_key
from pvm_jobs.request import JobRequest, complete
from pvm_resources.dagster_resources import DatabaseResource, MediaResource, SettingsResource
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.process_pool import WorkPool
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.records import Job


class JobServices:
    """Open handles of one process. Made without connecting; worker processes start at the first use.

    Args:
        settings: of this machine.
        database, media: the stores; the caller closes the database.
    """

    def __init__(self, settings: Settings, database: Database, media: MediaStore) -> None:
        self.settings = settings
        self.database = database
        self.media = media
        self.pool = WorkPool(settings.worker_count)
        self.store = Store.over(database)

    def close(self) -> None:
        """Ends the worker processes."""
        self.pool.close()

    def job_of(self, partition_key: str) -> Job:
        """The job of a partition. A key that names no job, added by hand in the UI, becomes a job that runs
        the industry's standing sources.

        Raises:
            InputError: ``partition.industry`` or ``partition.sources``, naming the command that helps.
        """
        found = self.store.jobs.by_partition(partition_key)
        if found is not None:
            return found
        slug, job_id = split_partition_key(partition_key)
        subject = f"partition {partition_key}"
        industry = next((i for i in self.store.industries.list() if i.slug == slug), None)
        if industry is None or job_id is None:
            raise InputError(
                "partition.industry",
                subject,
                f"{slug!r} is no industry's slug" if job_id else f"its key is not {PARTITION_FORM}",
                "Add the industry with `pvm industries add NAME --products FILE --videos FOLDER`, "
                f"then name the partition {PARTITION_FORM}",
            )
        request = complete(
            JobRequest(),
            JobRequest.parse(industry.sources),
            refused=lambda _kind: InputError(
                "partition.sources",
                subject,
                f"the industry {industry.name!r} has no standing sources",
                f"Add them with `pvm industries sources {slug} --products FILE --videos FOLDER`",
            ),
        )
        return self.store.jobs.create(slug, request.to_json(), job_id)

    def rules_of(self, job: Job) -> Rules:
        """The rules of the job's industry as they are now; what the environment sets wins.

        Raises:
            InputError: a stored rule is not valid.
        """
        industry = self.store.industries.get(job.industry)
        return self.settings.rules_of(industry.rule_set, industry.rules)


class JobServicesResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The `JobServices` of a Dagster process, open for as long as its resources live.

    In one process that is the whole run, so the worker processes start once a run.
    """

    settings: dg.ResourceDependency[SettingsResource]
    database: dg.ResourceDependency[DatabaseResource]
    media: dg.ResourceDependency[MediaResource]
    _services: JobServices | None = PrivateAttr(default=None)

    @property
    def services(self) -> JobServices:
        """The open handles."""
        assert self._services is not None
        return self._services

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["JobServicesResource"]:
        """Opens the handles for Dagster."""
        self._services = JobServices(self.settings.settings(), self.database.database(), self.media.store())
        try:
            yield self
        finally:
            self._services.close()


def job_services() -> JobServicesResource:
    """The resource over the settings of this process's environment."""
    return JobServicesResource(
        settings=SettingsResource(), database=DatabaseResource(), media=MediaResource()
    )
