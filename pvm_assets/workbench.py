"""What assets and checks work with: settings, database, media store, worker processes."""

# Dagster reads the annotations of resources as the class is made: they are not postponed here.

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import PrivateAttr

from pvm_core.errors import InputError
from pvm_core.ids import split_partition_key
from pvm_core.parallel import WorkPool
from pvm_core.rules import Rules, resolve
from pvm_resources.dagster_resources import DatabaseResource, MediaResource, SettingsResource
from pvm_resources.database import Database
from pvm_resources.media import MediaStore
from pvm_resources.repositories.catalogue import Catalogue
from pvm_resources.repositories.collecting import Collecting
from pvm_resources.repositories.features import Features
from pvm_resources.repositories.galleries import Galleries
from pvm_resources.repositories.industries import Industries
from pvm_resources.repositories.jobs import Jobs
from pvm_resources.repositories.matching import Matching
from pvm_resources.repositories.rows import Job
from pvm_resources.repositories.state import State
from pvm_resources.repositories.videos import Videos
from pvm_resources.settings import Settings


class Bench:
    """Open handles of one process. Made without connecting; worker processes start at the first use.

    Args:
        settings: of this machine.
        database, media: the stores; whoever made the database closes it.
    """

    def __init__(self, settings: Settings, database: Database, media: MediaStore) -> None:
        self.settings = settings
        self.database = database
        self.media = media
        self.pool = WorkPool(settings.worker_count)
        self.industries = Industries(self.database)
        self.jobs = Jobs(self.database)
        self.catalogue = Catalogue(self.database)
        self.collecting = Collecting(self.database)
        self.galleries = Galleries(self.database)
        self.videos = Videos(self.database)
        self.features = Features(self.database)
        self.matching = Matching(self.database)
        self.state = State(self.database)

    def close(self) -> None:
        """Ends the worker processes."""
        self.pool.close()

    def job_of(self, partition_key: str) -> Job:
        """The job of a partition. A key that names no job, added by hand in the UI, becomes a job that runs
        the industry's standing sources.

        Raises:
            InputError: ``partition.industry`` or ``partition.sources``, naming the command that helps.
        """
        found = self.jobs.by_partition(partition_key)
        if found is not None:
            return found
        slug, job_id = split_partition_key(partition_key)
        industry = next((i for i in self.industries.list() if i.slug == slug), None)
        if industry is None or job_id is None:
            raise InputError(
                "partition.industry",
                f"partition {partition_key}",
                f"{slug!r} is no industry's slug" if job_id else "its key is not <industry-slug>|<job-id>",
                "Add the industry with `pvm industries add NAME --products FILE --videos FOLDER`, "
                "then name the partition <industry-slug>|<job-id>",
            )
        if not industry.sources.get("products") or not industry.sources.get("videos"):
            raise InputError(
                "partition.sources",
                f"partition {partition_key}",
                f"the industry {industry.name!r} has no standing sources",
                f"Add them with `pvm industries sources {slug} --products FILE --videos FOLDER`",
            )
        return self.jobs.create(slug, industry.sources, job_id)

    def rules_of(self, job: Job) -> Rules:
        """The rules of the job's industry as they are now; what the environment sets wins.

        Raises:
            InputError: a stored rule is not valid.
        """
        industry = self.industries.get(job.industry)
        return resolve(industry.rule_set, {**industry.rules, **self.settings.rules_overrides()})


class Workbench(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The `Bench` of a Dagster process, open for as long as its resources live.

    In one process that is the whole run, so the worker processes start once a run.
    """

    settings: dg.ResourceDependency[SettingsResource]
    database: dg.ResourceDependency[DatabaseResource]
    media: dg.ResourceDependency[MediaResource]
    _bench: Bench | None = PrivateAttr(default=None)

    @property
    def bench(self) -> Bench:
        """The open handles."""
        assert self._bench is not None
        return self._bench

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Workbench"]:
        """Opens the handles for Dagster."""
        self._bench = Bench(self.settings.settings(), self.database.database(), self.media.store())
        try:
            yield self
        finally:
            self._bench.close()


def workbench(
    settings: SettingsResource | None = None,
    database: DatabaseResource | None = None,
    media: MediaResource | None = None,
) -> Workbench:
    """The resource over the environment's settings, or over resources given."""
    return Workbench(
        settings=settings or SettingsResource(),
        database=database or DatabaseResource(),
        media=media or MediaResource(),
    )
