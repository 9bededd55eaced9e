"""What assets and checks work with: settings, database, media store, worker processes."""

# Dagster reads the annotations of resources as the class is made: they are not postponed here.

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import PrivateAttr

from pvm_assets.hand_added import job_of
from pvm_core.rules import Rules
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
        """The job of a partition; one added by hand becomes a job (`pvm_assets.hand_added`).

        Raises:
            InputError: ``partition.*``: it can be none.
        """
        return job_of(self.store, self.settings, partition_key)

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
