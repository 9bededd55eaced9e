"""Products of a catalogue on this machine: a spreadsheet, CSV, TSV, JSON or a product feed in XML.

One row is one picture, the id repeated for a gallery; a row may name further pictures of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pvm_jobs.source_policy import SourcePolicy
from pvm_resources.sources.base import Collected, ProductRecord, Query
from pvm_resources.sources.catalogue.content import opened
from pvm_resources.sources.catalogue.gathering import NAME, read_catalogue
from pvm_resources.sources.catalogue.picture_places import CatalogueFolder
from pvm_resources.sources.confined import Confinement


class FileCatalogue:
    """A catalogue file as a product source.

    Columns are recognised by their names (`catalogue.columns`), or named by the user. A picture is a path
    relative to the file, inside its folder, or an http(s) URL. Ids are kept as given and never become part
    of a path.

    Args:
        path: the file.
        namespace: what its ids are unique within: the industry's slug.
        confinement: which files it may lead to.
        columns: columns that the user named, by field.
    """

    name = NAME
    policy = SourcePolicy()

    def __init__(
        self,
        path: Path,
        namespace: str,
        confinement: Confinement | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        self._path = path
        self._namespace = namespace
        self._confinement = confinement or Confinement()
        self._columns = columns or {}

    def collect(self, query: Query) -> Collected[ProductRecord]:
        """All products of the file, in its order; what the query asks is for other sources.

        Raises:
            InputError: the file as a whole cannot be used (``table.*``, ``source.outside``), or holds no
                usable row (``catalogue.no_products``).
        """
        with opened(self._path, self._confinement.around(self._path.parent)) as content:
            place = CatalogueFolder(self._path, self._confinement)
            return read_catalogue(content, place, self._namespace, self._columns)
