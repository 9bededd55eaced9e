"""The settings, the database (started where needed) and the tables of a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pvm_cli.console import note
from pvm_core.errors import InputError

if TYPE_CHECKING:
    from pvm_core.rules import Rules
    from pvm_resources.postgres.driver import Database
    from pvm_resources.settings import Settings
    from pvm_resources.store.assembly import Store
    from pvm_resources.store.records import Industry, Job


@dataclass(frozen=True)
class Session:
    """An open database with the settings it was found by."""

    settings: Settings
    database: Database

    @cached_property
    def store(self) -> Store:
        """The database's tables."""
        from pvm_resources.store.assembly import Store

        return Store.over(self.database)

    def rules_of(self, job: Job) -> Rules:
        """The rules of the job's industry as they are now; what the environment sets wins."""
        industry = self.store.industries.get(job.industry)
        return self.settings.rules_of(industry.rule_set, industry.rules)

    def latest_completed(self, industry: Industry) -> Job:
        """The industry's latest completed job.

        Raises:
            InputError: ``job.none``.
        """
        job = self.store.jobs.latest(industry.slug)
        if job is None:
            raise InputError(
                "job.none",
                industry.name,
                "no job of this industry has completed",
                "pvm status shows its jobs: name one with --job, or resume it with pvm retry",
            )
        return job


@contextmanager
def opened(*, create: bool = False) -> Iterator[Session]:
    """The database of this machine's settings, for the length of the block.

    The embedded server is started where it is not running, and stopped again at the end if this block
    started it and no other process uses it.

    Args:
        create: make the server and the schema where there is none yet.

    Raises:
        InputError: ``home.empty`` where there is nothing yet and `create` is False.
        StoreError: the database is out of reach.
    """
    from pvm_resources.postgres import migrate
    from pvm_resources.postgres.connect import embedded_server
    from pvm_resources.postgres.driver import Database
    from pvm_resources.settings import load_settings

    settings = load_settings()
    with ExitStack() as stack:
        if settings.database_url is None:
            server = embedded_server(settings)
            if not create and not server.status().initialised:
                raise _empty(str(settings.home))
            stack.enter_context(server)
            dsn = server.uri("pvm")
        else:
            dsn = settings.database_url.get_secret_value()
        if create or migrate.current(dsn) is not None:
            migrate.upgrade(dsn)
        else:
            raise _empty("the database")
        yield Session(settings, stack.enter_context(Database(dsn, max_connections=2)))


@contextmanager
def ready(settings: Settings) -> Iterator[Session]:
    """Everything a run needs, for the length of the block: server, schema, Dagster's home, environment.

    Raises:
        StoreError: server, database or home cannot be made ready.
    """
    from pvm_assets.execution.bootstrap import bootstrap
    from pvm_resources.postgres.driver import Database

    _log_own_lines(settings)
    platform = bootstrap(settings)
    if platform.open_home is not None:
        note(f"warning: {platform.open_home}")
    try:
        with Database(platform.dsn, max_connections=2) as database:
            yield Session(settings, database)
    finally:
        platform.close()


def _log_own_lines(settings: Settings) -> None:
    """Sends our log lines to stderr in the form of the settings; warnings of libraries only when debugging.

    Drivers warn at each attempt to reconnect; our own error reports the outcome once.
    """
    import logging

    from pvm_resources import logs

    logs.setup(settings.log_format, settings.log_level)
    if settings.log_level != "debug":
        # A root without any handler would print warnings as a last resort.
        logging.getLogger().addHandler(logging.NullHandler())


def _empty(place: str) -> InputError:
    return InputError(
        "home.empty",
        place,
        "it holds no jobs yet",
        "Try make demo, or pvm run --industry NAME --products FILE --videos FOLDER; "
        "PVM_HOME names the folder where jobs are kept",
    )
