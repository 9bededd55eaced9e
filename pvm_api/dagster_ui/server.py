"""The Dagster UI as a process: ``python -m pvm_api.dagster_ui.server -h HOST -p PORT -w WORKSPACE``.

What ``dagster-webserver`` does (`dagster_webserver.cli`, Dagster 1.13), with the guards around its
application.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import uvicorn

from pvm_api.dagster_ui.app import guarded
from pvm_api.dagster_ui.options import Options
from pvm_resources import logs
from pvm_resources.private import keep_private
from pvm_resources.settings import Settings, load_settings
from pvm_resources.signals import restore_handlers

if TYPE_CHECKING:
    from dagster._core.workspace.context import WorkspaceProcessContext

    from pvm_resources.store.api_keys import Keys

#: The defaults of ``dagster-webserver``: milliseconds of a statement and between two looks for new data.
_STATEMENT_MS: Final = 15_000
_POLL_MS: Final = 2_000
#: Connections for keys; requests beyond them wait.
_CONNECTIONS: Final = 2


def serve(settings: Settings, options: Options, workspaces: Sequence[str]) -> None:
    """Serves until SIGINT or SIGTERM. The platform must be up, and its environment exported (`bootstrap`).

    Args:
        workspaces: paths of workspace files.

    Raises:
        InputError: ``settings.invalid``.
        StoreError: the database of the keys does not answer.
    """
    from dagster_webserver.app import create_app_from_workspace_process_context

    with (
        _process_context(settings, workspaces, options.read_only) as context,
        _keys(settings, options) as keys,
    ):
        dagster = create_app_from_workspace_process_context(context, options.prefix, _POLL_MS)
        uvicorn.run(
            guarded(dagster, options, keys),
            host=options.host,
            port=options.port,
            log_level="warning",
            # A link that signs in is an address.
            access_log=False,
            server_header=False,
            # Which proxies are believed is the guards' business.
            proxy_headers=False,
        )


@contextmanager
def _process_context(
    settings: Settings, workspaces: Sequence[str], read_only: bool
) -> Iterator[WorkspaceProcessContext]:
    from dagster import DagsterInstance
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster._utils.interrupts import setup_interrupt_handlers
    from dagster._utils.log import configure_loggers
    from dagster_webserver.version import __version__

    from pvm_assets.execution.storage_connections import limit_statements
    from pvm_resources.dagster_logs import form_lines

    configure_loggers()
    form_lines(settings.log_format)
    # SIGTERM, too, ends the code server in good order.
    setup_interrupt_handlers()
    with DagsterInstance.get() as instance:
        limit_statements(instance, _STATEMENT_MS)
        target = WorkspaceFileTarget(paths=list(workspaces))
        with WorkspaceProcessContext(instance, target, __version__, read_only=read_only) as context:
            yield context


@contextmanager
def _keys(settings: Settings, options: Options) -> Iterator[Keys | None]:
    if not options.sign_in:
        yield None
        return
    from pvm_resources.postgres.connect import database_dsn
    from pvm_resources.postgres.driver import Database
    from pvm_resources.store.api_keys import Keys

    with Database(database_dsn(settings), max_connections=_CONNECTIONS) as database:
        yield Keys(database)


def main(arguments: Sequence[str] | None = None) -> None:
    """The process."""
    parser = argparse.ArgumentParser(prog="pvm_api.dagster_ui.server", add_help=False)
    parser.add_argument("-h", "--host", default="127.0.0.1")
    parser.add_argument("-p", "--port", type=int, default=3000)
    parser.add_argument("-w", "--workspace", required=True, action="append")
    given = parser.parse_args(arguments)
    settings = load_settings()
    logs.setup(settings.log_format, settings.log_level)
    logging.getLogger("pvm").info("the Dagster UI starts on port %d", given.port)
    serve(settings, Options.of(settings, given.host, given.port), given.workspace)


if __name__ == "__main__":
    restore_handlers()
    keep_private()
    main()
