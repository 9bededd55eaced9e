"""The API as a process: ``python -m pvm_api.server``."""

from __future__ import annotations

import logging

import uvicorn

from pvm_api.app import create_app
from pvm_resources import logs
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.connect import database_dsn
from pvm_resources.postgres.driver import Database
from pvm_resources.private import keep_private
from pvm_resources.settings import Settings, load_settings
from pvm_resources.signals import restore_handlers

#: Connections to the database; requests beyond them wait.
_CONNECTIONS = 16


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
    uvicorn.run(
        app,
        host=settings.api_host,
        port=port or settings.api_port,
        log_config=None,
        access_log=settings.log_level == "debug",
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    restore_handlers()
    keep_private()
    serve(load_settings())
