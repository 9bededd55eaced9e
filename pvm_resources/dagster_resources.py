"""The plain resources as Dagster's: thin, so that everything else imports without Dagster.

Values come from the environment of the process that runs the step; nothing secret enters Dagster's
configuration.
"""

from __future__ import annotations

from pathlib import Path

from dagster import ConfigurableResource, InitResourceContext
from pydantic import PrivateAttr

from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.connect import database_dsn
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings, load_settings


class SettingsResource(ConfigurableResource[Settings]):
    """`Settings` of this process.

    Attributes:
        env_file: a `.env` file in place of the project's; "" for that one.
    """

    env_file: str = ""

    def settings(self) -> Settings:
        """The settings, read again."""
        return load_settings(Path(self.env_file) if self.env_file else None)


class MediaResource(ConfigurableResource[MediaStore]):
    """The media store.

    Attributes:
        url: of the store; "" for the one in the settings.
    """

    url: str = ""

    def store(self) -> MediaStore:
        """The store."""
        return MediaStore(self.url or load_settings().media)


class DatabaseResource(ConfigurableResource[Database]):
    """The database, with one pool for the life of the step.

    Attributes:
        url: any libpq form; "" for the one in the settings, or the embedded server's.
    """

    url: str = ""
    _database: Database | None = PrivateAttr(default=None)

    def database(self) -> Database:
        """The database; connects at the first query.

        Raises:
            StoreError: ``server.not_initialised`` where the embedded server was never started.
        """
        if self._database is None:
            self._database = Database(self.url or database_dsn(load_settings()))
        return self._database

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Closes the pool."""
        if self._database is not None:
            self._database.close()
            self._database = None
