"""`pvm up` and `pvm down`: database, Dagster's web server and daemon, REST API and relay of one PVM_HOME."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pvm_cli.console import note, out
from pvm_core.errors import PvmError

if TYPE_CHECKING:
    from pvm_cli.processes import Service, ServiceFolder
    from pvm_resources.settings import Settings

WEBSERVER: Final = "webserver"
DAEMON: Final = "daemon"
API: Final = "api"
RELAY: Final = "relay"
#: In the order they are stopped: what takes work in first.
_ALL: Final = (API, WEBSERVER, DAEMON, RELAY)
_READY_S: Final = 90.0


def up(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Dagster UI.")] = 3000,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on. The UI has no login: open it to a trusted network only."),
    ] = "127.0.0.1",
    api_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port of the REST API; default PVM_API_PORT.", show_default=False
        ),
    ] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay until Ctrl-C, then stop everything.")
    ] = False,
) -> None:
    """Starts the database, the Dagster UI, the daemon, the REST API and the relay of events.

    They go on in the background until pvm down.
    A second pvm up starts only what is missing. Logs lie in PVM_HOME/logs.
    """
    from pvm_cli.processes import ServiceFolder
    from pvm_resources.settings import load_settings

    settings = load_settings()
    if api_port is not None:
        settings = settings.model_copy(update={"api_port": api_port})
    folder = ServiceFolder(settings.home)
    with _one_at_a_time(settings.home):
        webserver, api = _start_missing(settings, folder, host, port)
    out().print(f"Dagster UI   [bold]{webserver.url}[/bold]")
    out().print(f"REST API     [bold]{api.url}[/bold]")
    out().print(f"review page  [bold]{api.url}/review[/bold]")
    out().print(f"logs         {folder.log_path(WEBSERVER).parent}", soft_wrap=True)
    if foreground:
        _stay(settings, folder)
    else:
        out().print("stop with    pvm down")
    _say_how_to_call(settings)


def down(
    keep_database: Annotated[
        bool, typer.Option("--keep-database", help="Stop everything but the database.")
    ] = False,
) -> None:
    """Stops what [bold]pvm up[/bold] started.

    A run launched from the UI is cancelled; the same job resumes later.
    The data stays.
    """
    from pvm_cli.processes import ServiceFolder
    from pvm_resources.settings import load_settings

    settings = load_settings()
    with _one_at_a_time(settings.home):
        stopped = _stop_all(settings, ServiceFolder(settings.home), keep_database)
    note(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


def _start_missing(
    settings: Settings, folder: ServiceFolder, host: str, port: int
) -> tuple[Service, Service]:
    webserver, api = folder.find(WEBSERVER), folder.find(API)
    _check_ports(settings, None if webserver else (host, port), api is None)
    env = _prepare(settings)
    if folder.find(DAEMON) is None:
        folder.start(DAEMON, [sys.executable, "-m", "dagster._daemon", "run", *_workspace()], env)
    if folder.find(RELAY) is None:
        folder.start(RELAY, [sys.executable, "-m", "pvm_cli.main", "events", "relay"], env)
    if api is None:
        url = f"http://{_reachable(settings.api_host)}:{settings.api_port}"
        api = folder.start(API, [sys.executable, "-m", "pvm_api.server"], env, url=url)
    if webserver is None:
        command = [sys.executable, "-m", "dagster_webserver", "-h", host, "-p", str(port), *_workspace()]
        webserver = folder.start(WEBSERVER, command, env, url=f"http://{_reachable(host)}:{port}")
    _wait_ready(folder, api, "/healthz")
    _wait_ready(folder, webserver, "/server_info")
    return webserver, api


def _check_ports(settings: Settings, webserver: tuple[str, int] | None, api: bool) -> None:
    """Raises where a port that is about to be taken is not free, or the API must not listen there."""
    from pvm_cli.processes import port_is_free

    if webserver is not None and not port_is_free(*webserver):
        raise PvmError(
            "up.port_busy",
            f"port {webserver[1]}",
            "another program listens on it",
            f"Stop that program or choose another port: pvm up --port {webserver[1] + 1}",
        )
    if api:
        from pvm_resources.settings import check_api_host

        check_api_host(settings)
        if not port_is_free(settings.api_host, settings.api_port):
            raise PvmError(
                "up.port_busy",
                f"port {settings.api_port}",
                "another program listens on it, and the REST API would",
                f"Stop that program or choose another port: pvm up --api-port {settings.api_port + 1}",
            )


def _say_how_to_call(settings: Settings) -> None:
    """Without a key nobody can call the API: its first user is told how to make one."""
    from pvm_cli.session import opened

    if not settings.api_auth:
        note("the REST API asks for no key (PVM_API_AUTH=false)")
        return
    with opened() as session:
        if not session.store.keys.any_active():
            note("the REST API wants a key; make one: pvm keys create NAME --scope run")


def _prepare(settings: Settings) -> Mapping[str, str]:
    """Server up, schema and Dagster's home ready; the environment of the processes."""
    from pvm_assets.execution.bootstrap import bootstrap

    return {**os.environ, **bootstrap(settings, keep=True).environment}


def _workspace() -> list[str]:
    from pvm_resources.settings import project_root

    return ["-w", str(project_root() / "workspace.yaml")]


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in {"", "0.0.0.0"} else host


def _wait_ready(folder: ServiceFolder, service: Service, path: str) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        if not service.alive:
            break
        if answers(f"{service.url}{path}"):
            return
        time.sleep(0.2)
    log, tail = folder.log_path(service.name), folder.tail(service.name)
    folder.stop(service.name)
    raise PvmError(
        "up.not_ready",
        f"the {service.name}",
        f"it did not answer; its last words:\n{tail}\n",
        f"The whole log is {log}",
    )


def answers(url: str) -> bool:
    """True where a server answers at `url` with 200."""
    import urllib.request

    try:
        # Proxies of the environment must not stand between us and our own server.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _stop_all(settings: Settings, folder: ServiceFolder, keep_database: bool) -> list[str]:
    from pvm_resources.postgres.server import EmbeddedServer

    stopped = [name for name in _ALL if folder.stop(name)]
    server = EmbeddedServer(settings.home)
    if not keep_database and server.status().running and server.down():
        stopped.append("database")
    return stopped


def _stay(settings: Settings, folder: ServiceFolder) -> None:
    note("Ctrl-C stops everything")
    try:
        while all(map(folder.find, _ALL)):
            time.sleep(1.0)
        note("one of the services has ended; stopping the rest")
    except KeyboardInterrupt:
        pass
    with _one_at_a_time(settings.home):
        _stop_all(settings, folder, keep_database=False)


@contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    """Two `pvm up` of one home follow each other, so that there is one of each."""
    (home / "run").mkdir(parents=True, exist_ok=True)
    handle = os.open(home / "run" / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
