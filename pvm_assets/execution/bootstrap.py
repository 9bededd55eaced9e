"""What Dagster needs before it starts: server, schema, Dagster's home, environment, pool limits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pvm_core.errors import StoreError
from pvm_resources.postgres import migrate
from pvm_resources.postgres.connect import dagster_url, database_dsn, embedded_server
from pvm_resources.postgres.dagster_history import migrate_partition_keys
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.private import OpenPlace, close_home
from pvm_resources.settings import Settings, environment, project_root

if TYPE_CHECKING:
    import dagster as dg

#: Steps that may use the GPU at once on one machine.
GPU_LIMIT: Final = 1

#: How a dagster.yaml begins that bootstrap wrote; one that begins otherwise is the user's.
_WRITTEN: Final = "# Written by pvm"


@dataclass(frozen=True)
class Platform:
    """A platform that is ready to run jobs.

    Attributes:
        dsn: our database; secret.
        environment: what a child process needs to find this platform; secret.
        server: the embedded server this process uses; None where both databases are elsewhere.
        started_server: this process started it.
        open_home: the home where other users of the machine may look into it; None where they may not.
    """

    settings: Settings
    dsn: str
    environment: dict[str, str]
    server: EmbeddedServer | None
    started_server: bool
    open_home: OpenPlace | None = None

    def close(self) -> None:
        """Stops the embedded server where this process started it and nobody else uses it."""
        if self.server is not None and self.started_server:
            self.server.down(if_unused=True)
        elif self.server is not None:
            self.server.release()


def bootstrap(settings: Settings, *, keep: bool = False) -> Platform:
    """Makes the platform ready, closes its home to others, and exports its environment to this process.

    Safe to call from several processes at once; cheap where all stands already. Leaves Dagster unimported.

    Args:
        keep: the embedded server outlives its users (`pvm up`).

    Raises:
        StoreError: server, database or home cannot be made ready.
    """
    open_home = close_home(settings.home)
    server = embedded_server(settings) if settings.needs_server else None
    started = server.up(keep=keep) if server is not None else False
    dsn = database_dsn(settings)
    migrate.upgrade(dsn)
    migrate_partition_keys(dagster_url(settings))
    found = {
        **environment(settings),
        "PVM_DATABASE_URL": dsn,
        "DAGSTER_PG_URL": dagster_url(settings),
        "DAGSTER_HOME": str(settings.dagster_home),
    }
    os.environ.update(found)
    if settings.run_launcher == "docker":
        write_dagster_home(settings)
    else:
        link_dagster_home(settings.dagster_home)
    return Platform(settings, dsn, found, server, started, open_home)


def link_dagster_home(folder: Path) -> None:
    """Makes Dagster's home, with the project's dagster.yaml linked into it; a file of one's own is kept."""
    target, source = folder / "dagster.yaml", project_root() / "dagster.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (target.is_symlink() and target.resolve() != source) or _written_here(target):
            target.unlink()
        if not target.exists():
            target.symlink_to(source)
    except FileExistsError:
        return
    except OSError as error:
        raise _unwritable(folder, error) from error


def write_dagster_home(settings: Settings) -> None:
    """Makes Dagster's home, with the project's dagster.yaml in it and runs started in containers; a file of
    one's own is kept.

    Raises:
        InputError: ``executor.docker``.
        StoreError: ``home.unwritable``.
    """
    import yaml

    from pvm_assets.execution.containers import docker_launcher

    target, source = settings.dagster_home / "dagster.yaml", project_root() / "dagster.yaml"
    if target.exists() and not target.is_symlink() and not _written_here(target):
        return
    config = {**yaml.safe_load(source.read_text(encoding="utf-8")), "run_launcher": docker_launcher(settings)}
    text = yaml.safe_dump(config, sort_keys=False)
    fresh = target.with_suffix(f".{os.getpid()}")
    try:
        settings.dagster_home.mkdir(parents=True, exist_ok=True)
        fresh.write_text(f"{_WRITTEN} for PVM_RUN_LAUNCHER=docker, anew at each start.\n{text}", "utf-8")
        fresh.replace(target)
    except OSError as error:
        raise _unwritable(settings.dagster_home, error) from error


def _written_here(path: Path) -> bool:
    return not path.is_symlink() and path.is_file() and path.read_text(encoding="utf-8").startswith(_WRITTEN)


def _unwritable(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        "home.unwritable", str(folder), error.strerror or str(error), "Set PVM_HOME to a folder you may write"
    )


@contextmanager
def dagster_instance() -> Iterator[dg.DagsterInstance]:
    """The instance of this process's DAGSTER_HOME, with the limit of the pool `gpu` in place.

    A limit somebody set by hand is kept.

    Raises:
        StoreError: ``dagster.unreachable``.
    """
    import dagster as dg
    import sqlalchemy.exc
    from dagster_postgres.utils import DagsterPostgresException

    from pvm_assets.execution.storage_connections import close_connections

    try:
        instance = dg.DagsterInstance.get()
        _limit_gpu_pool(instance)
    except (sqlalchemy.exc.SQLAlchemyError, DagsterPostgresException) as error:
        raise StoreError(
            "dagster.unreachable",
            "Dagster's database",
            f"it does not answer ({type(error).__name__})",
            "Check DAGSTER_PG_URL, or start the platform with `pvm up`",
        ) from error
    with instance:
        try:
            yield instance
        finally:
            # The embedded server stops where nobody is connected.
            close_connections(instance)


def _limit_gpu_pool(instance: dg.DagsterInstance) -> None:
    from pvm_resources.gpu import GPU_POOL

    limits = instance.event_log_storage.get_pool_limits()
    if GPU_POOL not in {limit.name for limit in limits}:
        instance.event_log_storage.set_concurrency_slots(GPU_POOL, GPU_LIMIT)
