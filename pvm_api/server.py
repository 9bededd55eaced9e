"""The API as a process: ``python -m pvm_api.server``."""

from __future__ import annotations

import logging
import sys
from types import FrameType
from typing import Final

import uvicorn

from pvm_api.app import create_app
from pvm_api.connections import limits_here, server_options
from pvm_resources import logs
from pvm_resources.events.live import LiveEvents
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.connect import database_dsn
from pvm_resources.postgres.driver import Database
from pvm_resources.private import keep_private
from pvm_resources.settings import Settings, load_settings
from pvm_resources.signals import restore_handlers

#: Connections to the database; requests beyond them wait.
_CONNECTIONS: Final = 16
#: Exit code where the port is taken; uvicorn's own.
_NOT_STARTED: Final = 3


def serve(settings: Settings, *, host: str | None = None, port: int | None = None) -> None:
    """Serves until SIGINT or SIGTERM. The platform's database must be up.

    Args:
        host, port: where to listen; default as the settings say.

    Raises:
        InputError: ``api.host``.
        StoreError: the embedded server of this home was never started.
    """
    settings = settings.model_copy(update={"api_host": host or settings.api_host})
    logs.setup(settings.log_format, settings.log_level)
    database = Database(database_dsn(settings), max_connections=_CONNECTIONS)
    app = create_app(settings, database, MediaStore(settings.media))
    logging.getLogger("uvicorn.access").disabled = settings.log_level != "debug"
    config = uvicorn.Config(
        app,
        host=settings.api_host,
        port=port or settings.api_port,
        log_config=None,
        access_log=settings.log_level == "debug",
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        **server_options(limits_here(), settings.trusted_proxies),
    )
    server = _Server(config, app.state.services.live)
    server.run()
    if not server.started:
        sys.exit(_NOT_STARTED)


class _Server(uvicorn.Server):
    """Ends streams before it waits for what is being answered: they would not end by themselves."""

    def __init__(self, config: uvicorn.Config, live: LiveEvents) -> None:
        super().__init__(config)
        self._live = live

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to stop."""
        self._live.end()
        super().handle_exit(sig, frame)


if __name__ == "__main__":
    restore_handlers()
    keep_private()
    serve(load_settings())
