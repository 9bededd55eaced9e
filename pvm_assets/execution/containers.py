"""What containers of runs and steps get, by setting: image, networks, volumes, variables."""

from __future__ import annotations

import os
from typing import Any, Final

from pvm_core.errors import InputError
from pvm_resources.postgres.connect import dagster_url, database_dsn
from pvm_resources.postgres.dsn import parse
from pvm_resources.settings import Settings, environment


def container_image(settings: Settings) -> str:
    """The image of `PVM_DOCKER_IMAGE`.

    Raises:
        InputError: ``executor.docker``.
    """
    if settings.docker_image:
        return settings.docker_image
    raise _unset("PVM_DOCKER_IMAGE", "no image is named", "Name an image that has this project installed")


def container_environment(settings: Settings) -> dict[str, str]:
    """Variables by which a process in a container finds this platform; secrets included.

    Raises:
        InputError: ``executor.docker``: a database is behind a socket, or a variable of `PVM_DOCKER_ENV` is
            not set.
        StoreError: the embedded server was never started.
    """
    urls = {"PVM_DATABASE_URL": database_dsn(settings), "DAGSTER_PG_URL": dagster_url(settings)}
    for name, url in urls.items():
        if parse(url).get("host", "/").startswith("/"):
            reason = "the database is behind a socket, which containers do not reach"
            raise _unset(name, reason, "Set PVM_POSTGRES_LISTEN, e.g. 127.0.0.1:5433, and start again")
    own = {name: os.environ.get(name) for name in _listed(settings.docker_env)}
    for name, value in own.items():
        if value is None:
            raise _unset("PVM_DOCKER_ENV", f"it names {name}, which is not set", f"Set {name}")
    given = {name: value for name, value in own.items() if value is not None}
    return {**environment(settings), **urls, "DAGSTER_HOME": str(settings.dagster_home), **given}


def container_networks(settings: Settings) -> list[str]:
    """Names of the networks that containers join; the first one at their start."""
    return _listed(settings.docker_networks)


def container_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments of docker-py's ``containers.create``: volumes, and the account of this process.

    Without `PVM_DOCKER_VOLUMES` the home is mounted under its own path.
    """
    volumes = _listed(settings.docker_volumes) or [f"{settings.home}:{settings.home}"]
    return {"volumes": volumes, "user": f"{os.getuid()}:{os.getgid()}"}


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _unset(subject: str, reason: str, remedy: str) -> InputError:
    return InputError("executor.docker", subject, reason, remedy)


#: Dagster's own names of the launchers of `PVM_RUN_LAUNCHER`.
_LAUNCHER: Final = {"module": "dagster_docker", "class": "DockerRunLauncher"}


def docker_launcher(settings: Settings) -> dict[str, Any]:
    """The section ``run_launcher`` of a dagster.yaml whose runs start in containers.

    Variables are named there and read from the daemon's environment: the file holds no secret.

    Raises:
        InputError: ``executor.docker``.
    """
    config = {
        "image": container_image(settings),
        "env_vars": sorted(container_environment(settings)),
        "networks": container_networks(settings),
        "container_kwargs": container_options(settings),
    }
    return {**_LAUNCHER, "config": config}
