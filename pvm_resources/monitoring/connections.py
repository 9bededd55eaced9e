"""How many connections a server of PostgreSQL has, and how many it may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pvm_resources.postgres.driver import Database

_USED: Final = """
SELECT coalesce(datname, ''), count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' GROUP BY 1 ORDER BY 1
"""
#: What superusers and `pg_use_reserved_connections` keep is nobody else's (PostgreSQL 16, "Connections").
_LIMIT: Final = """
SELECT sum(CASE name WHEN 'max_connections' THEN setting::int ELSE -setting::int END)::int FROM pg_settings
WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')
"""


@dataclass(frozen=True)
class Connections:
    """Connections of one server.

    Attributes:
        used: by database, of all its clients.
        limit: that all clients together may have.
    """

    used: Mapping[str, int]
    limit: int


def connections(database: Database) -> Connections:
    """Those of the server that `database` is on.

    Raises:
        StoreError: it is out of reach.
    """
    used = {str(name): int(count) for name, count in database.tuples(_USED)}
    return Connections(used, int(database.value(_LIMIT)))
