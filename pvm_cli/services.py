"""`pvm up` and `pvm down`: database, Dagster's web server, daemon and code server, REST API and relay of one
PVM_HOME."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pvm_cli.code_server import serve_command
from pvm_cli.console import as_typed, note, out
from pvm_core.errors import PvmError
from pvm_resources.code_sockets import ATTENTION, CODE, closed_folder, code_socket, listens

if TYPE_CHECKING:
    from pvm_cli.processes import Service, ServiceFolder
    from pvm_resources.settings import Settings

WEBSERVER: Final = "webserver"
DAEMON: Final = "daemon"
API: Final = "api"
RELAY: Final = "relay"
CONSUMER: Final = "consumer"
#: In the order they are stopped: first those that accept work.
SERVICES: Final = (API, WEBSERVER, DAEMON, ATTENTION, CODE, CONSUMER, RELAY)
#: workspace-served.yaml and workspace-attention-served.yaml read them.
_SOCKETS: Final = {CODE: "PVM_CODE_SOCKET", ATTENTION: "PVM_ATTENTION_SOCKET"}
#: Where the Dagster UI listens by default.
UI_PORT: Final = 3000
_READY_S: Final = 90.0
#: How long the attention's code server is waited for; the rest goes on without it.
_ATTENTION_S: Final = 20.0
_KEYS: Final = """the REST API needs a key; make one for its use:
  pvm keys create n8n --scope run           jobs in, results out
  pvm keys create my-name --scope review    the review page, where matches are judged
  pvm keys create my-app --scope read       results and pictures only
  pvm keys create boss --scope admin        everything, the Dagster UI where it asks to sign in too"""


def up(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Dagster UI.")] = UI_PORT,
    host: Annotated[
        str,
        typer.Option(help="Address of the Dagster UI. Where others reach it, one has to sign in."),
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

    They run in the background until pvm down.
    A second pvm up starts only what is missing. Logs lie in PVM_HOME/logs.
    """
    from pvm_cli.processes import ServiceFolder
    from pvm_resources.settings import load_settings

    settings = load_settings()
    if api_port is not None:
        settings = settings.model_copy(update={"api_port": api_port})
    folder = ServiceFolder(settings.home)
    with one_at_a_time(settings.home):
        webserver, api = _start_missing(settings, folder, host, port)
    _print_place("Dagster UI", webserver.url)
    _print_link(webserver.url)
    _print_place("REST API", api.url)
    _print_place("review page", f"{api.url}/review")
    out().print(f"logs         {folder.log_path(WEBSERVER).parent}", soft_wrap=True)
    if foreground:
        _stay(settings, folder)
    else:
        out().print(as_typed("stop with    pvm down"), soft_wrap=True)
    _note_on_keys(settings)


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
    with one_at_a_time(settings.home):
        stopped = _stop_all(settings, ServiceFolder(settings.home), keep_database)
    note(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


def _print_place(name: str, url: str) -> None:
    from rich.text import Text

    out().print(Text.assemble(f"{name:<12} ", (url, "bold")))


def _start_missing(
    settings: Settings, folder: ServiceFolder, host: str, port: int
) -> tuple[Service, Service]:
    from pvm_api.dagster_ui.options import Options
    from pvm_resources.settings import attention_python

    ui = Options.of(settings, host, port)
    if folder.find(WEBSERVER) is None:
        _check_port(host, port, "--port", "the Dagster UI")
    if folder.find(API) is None:
        from pvm_resources.settings import check_api_host

        check_api_host(settings)
        _check_port(settings.api_host, settings.api_port, "--api-port", "the REST API")
    env = _prepare(settings)

    def started(name: str, *command: str, url: str = "") -> Service:
        return folder.find(name) or folder.start(name, [sys.executable, "-m", *command], env, url=url)

    socket = Path(env[_SOCKETS[CODE]])
    closed_folder(socket)
    code = started(CODE, *_code_server(socket))
    apart = Path(env[_SOCKETS[ATTENTION]])
    python = attention_python()
    if python is not None:
        started(ATTENTION, "pvm_cli.restarted", str(python), "-m", *_attention_server(apart))
    started(RELAY, "pvm_cli.main", "events", "relay")
    api_url = f"http://{_reachable(settings.api_host)}:{settings.api_port}"
    api = started(API, "pvm_api.server", url=api_url)
    # The default stream is read by the relay.
    if settings.product_stream_type != "postgres":
        started(CONSUMER, "pvm_cli.main", "products", "consume")
    _wait_ready(folder, code, lambda: listens(socket))
    if python is not None:
        _wait_for_attention(folder, apart)
    started(DAEMON, "pvm_assets.daemon.process", *_workspace())
    webserver = started(
        WEBSERVER, "pvm_api.dagster_ui.server", "-h", host, "-p", str(port), *_workspace(), url=ui.url
    )
    _wait_ready(folder, api, lambda: answers(f"{api.url}/healthz"))
    _wait_ready(folder, webserver, lambda: answers(f"{webserver.url}/server_info"))
    return webserver, api


def _check_port(host: str, port: int, option: str, user: str) -> None:
    """Raises where the port that `user` is about to take is not free."""
    from pvm_cli.processes import port_is_free

    if not port_is_free(host, port):
        raise PvmError(
            "up.port_busy",
            f"port {port}",
            f"another program listens on it, and {user} would",
            f"Stop that program or choose another port: pvm up {option} {port + 1}",
        )


def _print_link(url: str) -> None:
    """Prints a link that signs a browser in, where the Dagster UI asks for it."""
    # The running one is asked: it may have been started with other settings.
    if _status(f"{url}/robots.txt") != HTTPStatus.UNAUTHORIZED:
        return
    from pvm_api.dagster_ui.links import LASTS_S, SECRET, new_link
    from pvm_cli.session import opened

    with opened() as session:
        link = new_link(url, session.store.keys.secret(SECRET))
    out().print(f"sign in      {link}", soft_wrap=True)
    minutes = LASTS_S // 60
    note(f"the link signs one browser in, within {minutes} minutes; pvm up prints another, a key serves too")


def _note_on_keys(settings: Settings) -> None:
    """Notes how to create the first key: the API cannot be called without one."""
    from pvm_cli.session import opened

    if not settings.api_auth:
        note("the REST API needs no key (PVM_API_AUTH=false)")
        return
    with opened() as session:
        if not session.store.keys.any_active():
            note(_KEYS)


def _prepare(settings: Settings) -> Mapping[str, str]:
    """Server up, schema and Dagster's home ready; the environment of the processes."""
    from pvm_assets.execution.bootstrap import bootstrap

    platform = bootstrap(settings, keep=True)
    if platform.open_home is not None:
        note(f"warning: {platform.open_home}")
    sockets = {variable: str(code_socket(settings.home, name)) for name, variable in _SOCKETS.items()}
    return {**os.environ, **platform.environment, **sockets}


def _code_server(socket: Path) -> list[str]:
    from pvm_assets.execution.code_location import CodeLocation
    from pvm_resources.settings import project_root

    location = CodeLocation.of_workspace(project_root() / "workspace.yaml")
    return serve_command(socket, location.module, location.attribute, location.name)


def _attention_server(socket: Path) -> list[str]:
    return serve_command(socket, "pvm_attention.location", "defs", "pvm_attention")


def _wait_for_attention(folder: ServiceFolder, socket: Path) -> None:
    deadline = time.monotonic() + _ATTENTION_S
    while not listens(socket):
        if time.monotonic() > deadline:
            note(f"warning: the attention analysis does not answer yet; see {folder.log_path(ATTENTION)}")
            return
        time.sleep(0.2)


def _workspace() -> list[str]:
    from pvm_resources.settings import attention_python, project_root

    files = ["workspace-served.yaml", *(["workspace-attention-served.yaml"] if attention_python() else [])]
    return [part for file in files for part in ("-w", str(project_root() / file))]


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in {"", "0.0.0.0"} else host


def _wait_ready(folder: ServiceFolder, service: Service, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        if not service.alive:
            break
        if ready():
            return
        time.sleep(0.2)
    log, tail = folder.log_path(service.name), folder.tail(service.name)
    folder.stop(service.name)
    raise PvmError(
        "up.not_ready",
        f"the {service.name}",
        f"it did not answer; the end of its log:\n{tail}\n",
        f"The whole log is {log}",
    )


def answers(url: str) -> bool:
    """True where a server answers at `url` with 200."""
    return _status(url) == HTTPStatus.OK


def _status(url: str) -> int | None:
    """The status of the answer; None where there is none."""
    import urllib.error
    import urllib.request

    try:
        # Proxies of the environment must not stand between us and our own server.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=2) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def _stop_all(settings: Settings, folder: ServiceFolder, keep_database: bool) -> list[str]:
    from pvm_resources.postgres.server import EmbeddedServer

    stopped = [name for name in SERVICES if folder.stop(name)]
    server = EmbeddedServer(settings.home)
    if not keep_database and server.status().running and server.down():
        stopped.append("database")
    return stopped


def _stay(settings: Settings, folder: ServiceFolder) -> None:
    note("Ctrl-C stops everything")
    try:
        # The attention analysis fails apart.
        started = [name for name in SERVICES if name != ATTENTION and folder.find(name)]
        while all(map(folder.find, started)):
            time.sleep(1.0)
        note("one of the services has ended; stopping the rest")
    except KeyboardInterrupt:
        pass
    with one_at_a_time(settings.home):
        _stop_all(settings, folder, keep_database=False)


@contextmanager
def one_at_a_time(home: Path) -> Iterator[None]:
    """Runs of `pvm up` and `pvm down` of one home follow each other, so that each service exists once."""
    (home / "run").mkdir(parents=True, exist_ok=True)
    handle = os.open(home / "run" / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
