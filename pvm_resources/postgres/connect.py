"""Where the databases of a home are."""

from __future__ import annotations

from pvm_resources.postgres.dsn import to_url
from pvm_resources.postgres.server import Address, EmbeddedServer
from pvm_resources.settings import Settings


def embedded_server(settings: Settings) -> EmbeddedServer:
    """The server of these settings' home, not started."""
    listen = settings.listen_address
    return EmbeddedServer(settings.home, listen=Address(*listen) if listen else None)


def database_dsn(settings: Settings) -> str:
    """The connection string of our tables: another server's by setting, else the embedded server's.

    Raises:
        StoreError: the embedded server of this home was never started.
    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return embedded_server(settings).uri("pvm")


def dagster_url(settings: Settings) -> str:
    """The URL of Dagster's tables, in the form SQLAlchemy reads."""
    if settings.dagster_url is not None:
        return to_url(settings.dagster_url.get_secret_value())
    return embedded_server(settings).uri("dagster")
