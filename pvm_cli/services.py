"""`pvm up` and `pvm down`: database, Dagster's web server and daemon of one PVM_HOME, one of each."""

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
_READY_S: Final = 90.0


def up(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Dagster UI.")] = 3000,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on. The UI has no login: open it to a trusted network only."),
    ] = "127.0.0.1",
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay until Ctrl-C, then stop everything.")
    ] = False,
) -> None:
    """Starts the database, the Dagster UI and the daemon.

    They go on in the background until pvm down.
    A second pvm up starts only what is missing. Logs lie in PVM_HOME/logs.
    """
    from pvm_cli.processes import ServiceFolder
    from pvm_resources.settings import load_settings

    settings = load_settings()
    folder = ServiceFolder(settings.home)
    with _one_at_a_time(settings.home):
        webserver = _start_missing(settings, folder, host, port)
    out().print(f"Dagster UI   [bold]{webserver.url}[/bold]")
    out().print(f"logs         {folder.log_path(WEBSERVER).parent}", soft_wrap=True)
    if foreground:
        _stay(settings, folder)
    else:
        out().print("stop with    pvm down")


def down(
    keep_database: Annotated[
        bool, typer.Option("--keep-database", help="Stop the UI and the daemon only.")
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


def _start_missing(settings: Settings, folder: ServiceFolder, host: str, port: int) -> Service:
    from pvm_cli.processes import port_is_free

    webserver = folder.find(WEBSERVER)
    if webserver is None and not port_is_free(host, port):
        raise PvmError(
            "up.port_busy",
            f"port {port}",
            "another program listens on it",
            f"Stop that program or choose another port: pvm up --port {port + 1}",
        )
    env = _prepare(settings)
    if folder.find(DAEMON) is None:
        folder.start(DAEMON, [sys.executable, "-m", "dagster._daemon", "run", *_workspace()], env)
    if webserver is None:
        command = [sys.executable, "-m", "dagster_webserver", "-h", host, "-p", str(port), *_workspace()]
        webserver = folder.start(WEBSERVER, command, env, url=f"http://{_reachable(host)}:{port}")
        _wait_ready(folder, webserver)
    return webserver


def _prepare(settings: Settings) -> Mapping[str, str]:
    """Server up, schema and Dagster's home ready; the environment of the processes."""
    from pvm_assets.bootstrap import bootstrap

    return {**os.environ, **bootstrap(settings, keep=True).environment}


def _workspace() -> list[str]:
    from pvm_resources.settings import project_root

    return ["-w", str(project_root() / "workspace.yaml")]


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in {"", "0.0.0.0"} else host


def _wait_ready(folder: ServiceFolder, service: Service) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        if not service.alive:
            break
        if answers(service.url):
            return
        time.sleep(0.2)
    log, tail = folder.log_path(service.name), folder.tail(service.name)
    folder.stop(service.name)
    raise PvmError(
        "up.not_ready",
        f"Dagster's {service.name}",
        f"it did not answer; its last words:\n{tail}\n",
        f"The whole log is {log}",
    )


def answers(url: str) -> bool:
    """True where a Dagster web server answers at `url`."""
    import urllib.request

    try:
        # Proxies of the environment must not stand between us and our own server.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{url}/server_info", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _stop_all(settings: Settings, folder: ServiceFolder, keep_database: bool) -> list[str]:
    from pvm_resources.server import EmbeddedServer

    stopped = [name for name in (WEBSERVER, DAEMON) if folder.stop(name)]
    server = EmbeddedServer(settings.home)
    if not keep_database and server.status().running and server.down():
        stopped.append("database")
    return stopped


def _stay(settings: Settings, folder: ServiceFolder) -> None:
    note("Ctrl-C stops everything")
    try:
        while folder.find(WEBSERVER) and folder.find(DAEMON):
            time.sleep(1.0)
        note("the web server or the daemon has ended; stopping the rest")
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
